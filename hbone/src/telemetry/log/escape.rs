//! Keeps what others wrote from breaking a line, or a terminal.

use std::fmt::{self, Write};

/// Writes with every control character escaped as `\n`, `\r`, `\t` or `\u{1b}`; with `quoted`,
/// quotes and backslashes too.
pub(super) struct Escaped<'a> {
    to: &'a mut dyn Write,
    quoted: bool,
}

impl<'a> Escaped<'a> {
    pub(super) fn plain(to: &'a mut dyn Write) -> Self {
        Self { to, quoted: false }
    }

    pub(super) fn quoted(to: &'a mut dyn Write) -> Self {
        Self { to, quoted: true }
    }
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut clean = 0;
        for (at, c) in text.char_indices() {
            if !self.needs_escape(c) {
                continue;
            }
            self.to.write_str(text.get(clean..at).unwrap_or_default())?;
            write!(self.to, "{}", c.escape_default())?;
            clean = at + c.len_utf8();
        }
        self.to.write_str(text.get(clean..).unwrap_or_default())
    }
}

impl Escaped<'_> {
    fn needs_escape(&self, c: char) -> bool {
        // The separators of lines and paragraphs, and the marks that turn the direction of
        // text, can forge a line as well.
        let invisible = matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || invisible || (self.quoted && matches!(c, '"' | '\\'))
    }
}

/// A value: bare if it is one plain word, in quotes otherwise.
pub(super) fn value(to: &mut dyn Write, text: &str) -> fmt::Result {
    let word = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    if !text.is_empty() && text.chars().all(word) {
        return Escaped::plain(to).write_str(text);
    }
    string(to, text)
}

/// A value in quotes.
pub(super) fn string(to: &mut dyn Write, text: &str) -> fmt::Result {
    to.write_char('"')?;
    Escaped::quoted(to).write_str(text)?;
    to.write_char('"')
}
