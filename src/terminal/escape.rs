//! Names of pods, paths and user agents are written by others: what would move the cursor,
//! change colours or turn the direction of reading is shown as its number instead.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with every control character as `\u{1b}` or the like; for one line.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    replace(text, acts, |c, out| {
        let _ = write!(out, "{}", c.escape_unicode());
    })
}

/// The same, but lines may end: for messages of several lines.
pub(crate) fn clean_lines(text: &str) -> Cow<'_, str> {
    replace(
        text,
        |c| c != '\n' && acts(c),
        |c, out| {
            let _ = write!(out, "{}", c.escape_unicode());
        },
    )
}

/// JSON in which the control characters that JSON itself lets stand are escaped too. They can be
/// in strings only, so the value stays the same.
pub(crate) fn clean_json(json: &str) -> Cow<'_, str> {
    replace(
        json,
        |c| c != '\n' && acts(c),
        |c, out| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

fn replace(
    text: &str,
    wanted: impl Fn(char) -> bool,
    write: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.chars().any(&wanted) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if wanted(c) { write(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// C0, DEL and C1; marks that turn the direction; what has no width and no place in a name.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown_as_its_number() {
        for (found, want) in [
            ("shop/web", "shop/web"),
            ("größe", "größe"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("a\r\nb\tc\u{7}", "a\\u{d}\\u{a}b\\u{9}c\\u{7}"),
            ("\u{202e}nimda", "\\u{202e}nimda"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
        ] {
            assert_eq!(clean(found), want);
        }
        assert_eq!(clean_lines("one\ntwo\u{1b}"), "one\ntwo\\u{1b}");
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({"name": "a\u{9b}2J\u{7f}\u{202e}\u{1b}", "n": [1, 2]});
        let text = serde_json::to_string_pretty(&value).expect("it is JSON");
        let clean = clean_json(&text);
        assert!(clean.chars().all(|c| c == '\n' || !acts(c)), "{clean:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).expect("still JSON"), value);
    }
}
