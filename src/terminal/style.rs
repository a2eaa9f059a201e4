//! Colours, only on a terminal, and never where `NO_COLOR` (<https://no-color.org>) is set.

use std::io::IsTerminal as _;

/// What a text means; the colour follows from it, and no meaning is in the colour alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// As the terminal has it.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// As it should not be.
    Bad,
    /// Less important.
    Dim,
    /// A heading.
    Heading,
}

impl Style {
    /// The text between the terminal's codes, or as it is.
    pub(crate) fn paint(self, text: &str, colour: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31;1",
            Self::Dim => "2",
            Self::Heading => "1",
        };
        if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Whether stdout takes colours.
pub(crate) fn stdout_takes_colour() -> bool {
    wanted(&|name| std::env::var(name).ok()) && std::io::stdout().is_terminal()
}

/// Whether stderr takes colours and moving lines.
pub(crate) fn stderr_is_alive() -> bool {
    std::env::var("TERM").is_ok_and(|term| term != "dumb") && std::io::stderr().is_terminal()
}

fn wanted(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && variable("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_and_dumb_terminals_are_honoured() {
        for (case, set, want) in [
            ("nothing is set", vec![], true),
            ("NO_COLOR", vec![("NO_COLOR", "1")], false),
            ("NO_COLOR is empty", vec![("NO_COLOR", "")], true),
            ("dumb", vec![("TERM", "dumb")], false),
        ] {
            let variable = |name: &str| {
                set.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(wanted(&variable), want, "{case}");
        }
    }

    #[test]
    fn without_colour_the_text_is_the_text() {
        assert_eq!(Style::Bad.paint("failing", false), "failing");
        assert_eq!(Style::Bad.paint("failing", true), "\u{1b}[31;1mfailing\u{1b}[0m");
    }
}
