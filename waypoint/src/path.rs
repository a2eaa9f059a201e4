//! The one path of a request: what policies and routes decide on is what is forwarded.
//!
//! Applications differ in how they read `..`, `//`, `%2e`, `%2f`, `;` and `\`. A proxy that
//! decides on one reading and forwards another can be walked around, so a path is either
//! brought into the one form below or refused (docs/wire.md, "Canonical paths").

/// Longest path with query that is read, in bytes.
pub const MAX_PATH: usize = 16 * 1024;

/// Why a path has no canonical form; the request is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Empty, `*`, or another form that does not begin with a slash.
    #[error("the path does not begin with '/'")]
    NotAbsolute,
    /// Longer than [`MAX_PATH`].
    #[error("the path is longer than 16384 bytes")]
    TooLong,
    /// `%` without two hexadecimal digits.
    #[error("the path has a '%' without two hexadecimal digits")]
    BadEscape,
    /// A control character, a space, `#`, or a byte that is not ASCII, plain or encoded NUL.
    #[error("the path has a character that must be percent-encoded, or a NUL")]
    BadCharacter,
    /// `%2f`, `%5c` or `\`: some read it as a separator, others as a letter.
    #[error("the path has an encoded slash or a backslash")]
    EncodedSlash,
    /// `;` or `%3b`: some cut the segment there, others do not.
    #[error("the path has a ';'")]
    Parameter,
    /// `..` above the root.
    #[error("the path leaves the root by '..'")]
    AboveRoot,
}

/// Brings `path` (without query) into canonical form: escapes of unreserved characters are
/// decoded, others written in upper case; empty and `.` segments vanish, `..` takes one back;
/// a final slash stays (RFC 3986 sections 5.2.4 and 6.2.2, and `//` as `/`).
pub fn canonical(path: &str) -> Result<String, PathError> {
    if path.len() > MAX_PATH {
        return Err(PathError::TooLong);
    }
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let decoded = decode_unreserved(path)?;
    resolve_dots(&decoded)
}

/// Checks a query: no `#`, space, control character or byte that is not ASCII.
pub fn check_query(query: &str) -> Result<(), PathError> {
    if query.len() > MAX_PATH {
        return Err(PathError::TooLong);
    }
    if query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        Ok(())
    } else {
        Err(PathError::BadCharacter)
    }
}

/// Decodes what needs no escape, and refuses what applications read differently.
pub(crate) fn decode_unreserved(path: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = bytes.next().and_then(hex).ok_or(PathError::BadEscape)?;
                let low = bytes.next().and_then(hex).ok_or(PathError::BadEscape)?;
                push_decoded(&mut out, high << 4 | low)?;
            }
            b'\\' => return Err(PathError::EncodedSlash),
            b';' => return Err(PathError::Parameter),
            b'#' => return Err(PathError::BadCharacter),
            _ if byte.is_ascii_graphic() => out.push(char::from(byte)),
            _ => return Err(PathError::BadCharacter),
        }
    }
    Ok(out)
}

fn push_decoded(out: &mut String, byte: u8) -> Result<(), PathError> {
    match byte {
        0 => return Err(PathError::BadCharacter),
        b'/' | b'\\' => return Err(PathError::EncodedSlash),
        b';' => return Err(PathError::Parameter),
        _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
        _ => {
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 15));
        }
    }
    Ok(())
}

fn resolve_dots(path: &str) -> Result<String, PathError> {
    let mut kept: Vec<&str> = Vec::new();
    let mut directory = true;
    for segment in path.split('/').skip(1) {
        directory = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop().ok_or(PathError::AboveRoot)?;
            }
            _ => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if directory || out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).map_or('0', |c| c.to_ascii_uppercase())
}

#[cfg(test)]
mod tests;
