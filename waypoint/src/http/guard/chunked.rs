//! The chunked encoding, without the freedoms that parsers disagree on: no extensions, no
//! white space, CRLF only (RFC 9112 section 7.1).

use super::lines;

/// Digits of a chunk size: 2^60 bytes and more are no chunk.
const MAX_DIGITS: usize = 15;
/// Trailer section, in bytes.
const MAX_TRAILERS: usize = 8 * 1024;

/// Where in a chunked body the stream is.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    place: Place,
    /// Bytes of the trailer section so far.
    trailers: usize,
}

#[derive(Debug, Default, PartialEq)]
enum Place {
    #[default]
    Size,
    Data(u64),
    /// The CRLF after the data of a chunk.
    DataEnd,
    Trailer,
}

/// The body breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Chunked {
    /// How many bytes from the beginning of `bytes` are good, and whether the body ends there.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let (n, done) = self.step(rest)?;
            at += n;
            if done {
                return Ok((at, true));
            }
            if n == 0 {
                return Ok((at, false));
            }
        }
    }

    fn step(&mut self, rest: &[u8]) -> Result<(usize, bool), Malformed> {
        match &mut self.place {
            Place::Size => {
                let Some(line) = line(rest, MAX_DIGITS)? else { return Ok((0, false)) };
                let size = size(line)?;
                self.place = if size == 0 { Place::Trailer } else { Place::Data(size) };
                Ok((line.len() + 2, false))
            }
            Place::Data(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= n as u64;
                if *left == 0 {
                    self.place = Place::DataEnd;
                }
                Ok((n, false))
            }
            Place::DataEnd => {
                if line(rest, 0)?.is_none() {
                    return Ok((0, false));
                }
                self.place = Place::Size;
                Ok((2, false))
            }
            Place::Trailer => self.trailer(rest),
        }
    }

    fn trailer(&mut self, rest: &[u8]) -> Result<(usize, bool), Malformed> {
        let Some(line) = line(rest, MAX_TRAILERS - self.trailers)? else { return Ok((0, false)) };
        if line.is_empty() {
            return Ok((2, true));
        }
        self.trailers += line.len();
        let (name, _) = lines::field(line).map_err(|_| Malformed)?;
        let framing = ["content-length", "transfer-encoding", "host", "trailer"];
        if framing.iter().any(|f| name.eq_ignore_ascii_case(f.as_bytes())) {
            return Err(Malformed);
        }
        Ok((line.len() + 2, false))
    }
}

/// The line at the beginning of `bytes`, without its CRLF; none if it is incomplete.
fn line(bytes: &[u8], longest: usize) -> Result<Option<&[u8]>, Malformed> {
    let window = bytes.get(..bytes.len().min(longest + 2)).unwrap_or_default();
    for (at, byte) in window.iter().enumerate() {
        match byte {
            b'\r' if at > longest => return Err(Malformed),
            b'\r' => {
                return match bytes.get(at + 1) {
                    Some(b'\n') => Ok(bytes.get(..at)),
                    Some(_) => Err(Malformed),
                    None => Ok(None),
                };
            }
            b'\t' => {}
            byte if byte.is_ascii_control() => return Err(Malformed),
            _ => {}
        }
    }
    if window.len() > longest { Err(Malformed) } else { Ok(None) }
}

fn size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = !line.is_empty() && line.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(line).ok().filter(|_| digits).ok_or(Malformed)?;
    u64::from_str_radix(text, 16).map_err(|_| Malformed)
}
