//! The head of an HTTP/1.1 request, line by line.

use crate::http::{MAX_HEADER_BYTES, MAX_HEADER_COUNT};

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
    /// No body, and the request asks for another protocol.
    Upgrade,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    TooLarge,
    Malformed(&'static str),
}

use HeadError::{Malformed, TooLarge};

/// Length and framing of the head at the beginning of `bytes`; none if it is incomplete.
/// The first `searched` bytes were seen before and are good lines so far.
pub(super) fn read(bytes: &[u8], searched: usize) -> Result<Option<(usize, Framing)>, HeadError> {
    let from = searched.saturating_sub(3);
    let end = bytes.get(from..).and_then(|rest| rest.windows(4).position(|w| w == b"\r\n\r\n"));
    let Some(end) = end.map(|at| from + at) else {
        let unseen = bytes.get(searched.saturating_sub(1)..).unwrap_or_default();
        check_bytes(unseen, true)?;
        return if bytes.len() > MAX_HEADER_BYTES { Err(TooLarge) } else { Ok(None) };
    };
    if end > MAX_HEADER_BYTES {
        return Err(TooLarge);
    }
    let head = bytes.get(..end).unwrap_or_default();
    check_bytes(head, false)?;
    Ok(Some((end + 4, framing(head)?)))
}

/// No bare CR or LF, and no control character. At the end of an incomplete head a CR may wait
/// for its LF.
fn check_bytes(bytes: &[u8], open: bool) -> Result<(), HeadError> {
    for (at, byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i));
        let after = bytes.get(at + 1);
        match byte {
            b'\n' if at > 0 && before != Some(&b'\r') => {
                return Err(Malformed("a line ends with a bare LF"));
            }
            b'\n' if at == 0 && !open => return Err(Malformed("a line ends with a bare LF")),
            b'\r' if after.is_none() && open => {}
            b'\r' if after != Some(&b'\n') => return Err(Malformed("a bare CR")),
            b'\r' | b'\n' | b'\t' => {}
            byte if byte.is_ascii_control() => return Err(Malformed("a control character")),
            _ => {}
        }
    }
    Ok(())
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "what was seen, field by field")]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    host: bool,
    upgrade: bool,
    connection_upgrade: bool,
}

fn framing(head: &[u8]) -> Result<Framing, HeadError> {
    let mut lines =
        head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let http_10 = request_line(lines.next().unwrap_or_default())?;
    let mut fields = Fields::default();
    for (count, line) in lines.enumerate() {
        if count >= MAX_HEADER_COUNT {
            return Err(TooLarge);
        }
        let (name, value) = field(line)?;
        fields.take(name, value)?;
    }
    fields.framing(http_10)
}

/// Checks `METHOD target HTTP/1.x`; true for HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, HeadError> {
    let bad = Malformed("the request line is not METHOD target HTTP/1.1");
    let mut parts = line.split(|b| *b == b' ');
    let parts: [Option<&[u8]>; 4] = std::array::from_fn(|_| parts.next());
    let [Some(method), Some(target), Some(version), None] = parts else { return Err(bad) };
    let plain = !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
    if method.is_empty() || !method.iter().all(|b| is_token(*b)) || !plain {
        return Err(bad);
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ => Err(bad),
    }
}

/// Name and value of a field line.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), HeadError> {
    if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
        return Err(Malformed("a folded header line"));
    }
    let colon =
        line.iter().position(|b| *b == b':').ok_or(Malformed("a header line without colon"))?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
        return Err(Malformed("a header name with a character that no name has"));
    }
    Ok((name, value.get(1..).unwrap_or_default().trim_ascii()))
}

impl Fields {
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        let is = |want: &str| name.eq_ignore_ascii_case(want.as_bytes());
        if is("content-length") {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(value).ok().filter(|_| digits);
            let length = text.and_then(|text| text.parse().ok());
            let length = length.ok_or(Malformed("content-length is not one number"))?;
            if self.length.replace(length).is_some() {
                return Err(Malformed("more than one content-length"));
            }
        } else if is("transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed("transfer-encoding is not chunked alone"));
            }
            self.chunked = true;
        } else if is("host") {
            if std::mem::replace(&mut self.host, true) {
                return Err(Malformed("more than one host"));
            }
        } else if is("upgrade") {
            self.upgrade = true;
        } else if is("connection") {
            let mut tokens = value.split(|b| *b == b',');
            self.connection_upgrade |=
                tokens.any(|t| t.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
        }
        Ok(())
    }

    fn framing(&self, http_10: bool) -> Result<Framing, HeadError> {
        if !self.host && !http_10 {
            return Err(Malformed("the host is missing"));
        }
        let upgrade = self.upgrade && self.connection_upgrade && !http_10;
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Malformed("both content-length and transfer-encoding")),
            (true, None) if http_10 => Err(Malformed("transfer-encoding in HTTP/1.0")),
            (true, None) if upgrade => Err(Malformed("an upgrade with a body")),
            (false, Some(length)) if upgrade && length > 0 => {
                Err(Malformed("an upgrade with a body"))
            }
            (true, None) => Ok(Framing::Chunked),
            (false, _) if upgrade => Ok(Framing::Upgrade),
            (false, Some(length)) if length > 0 => Ok(Framing::Length(length)),
            (false, _) => Ok(Framing::None),
        }
    }
}

/// A character of a token (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
