//! `-o table|wide|json|yaml`.

use std::io::Write as _;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::escape::clean_json;
use super::{Table, style};

/// How a command shows what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns
    #[default]
    Table,
    /// Aligned columns, more of them
    Wide,
    /// JSON, for programs: docs/cli.md says which fields there are
    Json,
    /// The same as YAML
    Yaml,
}

/// The option that most commands have.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Show {
    /// How to show it
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// What a command found: typed for programs, a table for people.
pub(crate) trait Listing: Serialize {
    /// The table; it has the columns of `-o wide` too.
    fn table(&self) -> Table;

    /// What `-o table` shows: the table, unless something else is read more easily.
    fn plain(&self, colour: bool) -> String {
        self.table().render(false, colour)
    }

    /// What is said below the table, whole lines.
    fn footer(&self) -> String {
        String::new()
    }
}

impl Show {
    /// Writes it to stdout.
    ///
    /// # Errors
    /// If it cannot be written, but for a reader that has left.
    pub(crate) fn print(&self, listing: &impl Listing) -> anyhow::Result<()> {
        let colour = style::stdout_takes_colour();
        write_out(&text(listing, self.format, colour)?)
    }
}

/// Writes a text to stdout as it is.
///
/// # Errors
/// As [`Show::print`].
pub(crate) fn write_out(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `ambit … | head` is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}

/// The whole text of a listing.
///
/// # Errors
/// If a value cannot be written in that format.
pub(crate) fn text(listing: &impl Listing, format: Format, colour: bool) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table => listing.plain(colour) + &listing.footer(),
        Format::Wide => listing.table().render(true, colour) + &listing.footer(),
        Format::Json => json(listing)? + "\n",
        Format::Yaml => yaml(listing)?,
    })
}

/// Pretty JSON without a character that acts on a terminal.
///
/// # Errors
/// If the value is none of JSON.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> anyhow::Result<String> {
    Ok(clean_json(&serde_json::to_string_pretty(value)?).into_owned())
}

/// The value as a YAML document. What acts on a terminal is escaped: then the strings that have
/// it are written as in JSON, which YAML shares.
fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    let mut text = testbed::manifests::yaml(&serde_json::to_value(value)?);
    if let std::borrow::Cow::Owned(clean) = clean_json(&text) {
        text = clean;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Column;
    use super::*;

    #[derive(Serialize)]
    struct Pods {
        pods: Vec<Value>,
    }

    impl Listing for Pods {
        fn table(&self) -> Table {
            let mut table = Table::new(&[Column::text("POD")], "no pod");
            for pod in &self.pods {
                table.row([pod["name"].as_str().unwrap_or_default().into()]);
            }
            table
        }
    }

    #[test]
    fn programs_read_the_same_value_from_json_and_yaml() {
        let hostile = "a: b\n- \u{1b}[2J\u{9b}3J \u{202e}#'\"";
        let pods = Pods {
            pods: vec![json!({"name": hostile, "ready": true, "n": 3, "empty": [], "no": "no"})],
        };
        let want = serde_json::to_value(&pods).expect("JSON");
        for format in [Format::Json, Format::Yaml] {
            let text = text(&pods, format, true).expect("written");
            assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{format:?}: {text:?}");
            let read: Value = serde_saphyr::from_str(&text).expect("readable");
            assert_eq!(read, want, "{format:?}: {text}");
        }
    }
}
