//! Log levels of a proxy.

use clap::Args;
use http::Method;
use serde::Serialize;

use super::Proxy;
use crate::failure::{Failure, Outcome};
use crate::mesh::Where;
use crate::terminal::{Column, Listing, Show, Table};

/// What to do.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    proxy: Proxy,

    /// Set levels, such as debug, or ztunnel::proxy=trace; several with commas
    #[arg(long, value_name = "LEVELS")]
    level: Option<String>,

    /// Back to the levels of its start
    #[arg(long)]
    reset: bool,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    show: Show,
}

/// `-o json`.
#[derive(Debug, Serialize)]
struct Levels {
    proxy: String,
    levels: String,
}

/// Shows the levels, after it set them.
///
/// # Errors
/// If it does not answer, or does not take the levels.
pub(super) async fn run(options: &Options) -> Result<Outcome, Failure> {
    let mesh = options.place.find().await?;
    let member = options.proxy.find(&mesh).await?;
    let mut query = Vec::new();
    if options.reset {
        query.push("reset".to_owned());
    }
    if let Some(levels) = &options.level {
        query.push(format!("level={}", encode(levels)?));
    }
    let page = member.page(Method::POST, &format!("/logging?{}", query.join("&"))).await?;
    let text = page.text();
    let text = text.trim();
    let levels = text.strip_prefix("current log level is ").unwrap_or(text).to_owned();
    options.show.print(&Levels { proxy: member.title(), levels })?;
    Ok(Outcome::Fine)
}

/// Levels as a part of a query.
fn encode(levels: &str) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_:-.=,".contains(c);
    if levels.is_empty() || !levels.chars().all(plain) {
        return Err(Failure::Usage(format!(
            "'{levels}' are no levels; write error, warn, info, debug or trace, or SCOPE=LEVEL"
        )));
    }
    Ok(levels.replace('=', "%3D").replace(',', "%2C"))
}

impl Listing for Levels {
    fn table(&self) -> Table {
        let mut table = Table::new(&[Column::text("PROXY"), Column::text("LEVELS")], "");
        table.row([self.proxy.as_str().into(), self.levels.as_str().into()]);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn levels_are_a_part_of_a_query_and_nothing_more() {
        assert_eq!(encode("info,h2=debug").ok().as_deref(), Some("info%2Ch2%3Ddebug"));
        for wrong in ["", "debug&reset", "a b", "debug\r\nHost: x"] {
            assert!(encode(wrong).is_err(), "{wrong:?}");
        }
    }
}
