//! `ambit tap`: connections that open and close, what is refused, what changes, as it happens.
//!
//! - [`events`]: server-sent events out of bytes
//! - [`opened`]: what opened and closed since the last look

mod events;
mod opened;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use observe::pb::{Connection, Event, Incident};
use serde::Serialize;
use tokio::sync::mpsc;

use self::events::Events;
use self::opened::{Change, Opened};
use crate::audit::{caller, clock, is_refusal, side};
use crate::failure::{Failure, Outcome};
use crate::mesh::Where;
use crate::remembered::asked::{Filters, duration};
use crate::remembered::shape::Connections;
use crate::remembered::{Asked, Remembered};
use crate::terminal::format::{Format, write_out};
use crate::terminal::{Style, clean, style, units};

/// Between two looks at open connections.
const LOOK: Duration = Duration::from_secs(1);
/// Lines that wait to be written; what comes while that many wait makes proxies wait.
const QUEUE: usize = 1_024;

/// What to show.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// End after so many lines
    #[arg(long, value_name = "LINES")]
    count: Option<usize>,

    /// End after this time, such as 30s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,

    /// How to show it: table, or json for a JSON object in each line
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,

    #[command(flatten)]
    filters: Filters,

    #[command(flatten)]
    place: Where,
}

/// A line, as `-o json` has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "what", content = "of")]
enum Line {
    Opened(Box<Connection>),
    Closed(Box<Connection>),
    Failed(Box<Incident>),
    Changed(Box<Event>),
}

/// Shows it until Ctrl-C, or as long as was asked for.
///
/// # Errors
/// If nobody can be asked, or a proxy goes away.
pub(crate) async fn run(options: &Options) -> Result<Outcome, Failure> {
    if matches!(options.format, Format::Wide | Format::Yaml) {
        return Err(Failure::Usage("tap writes table or json: it has no end".to_owned()));
    }
    let mesh = options.place.find().await?;
    let asked = options.filters.since(&mesh, Duration::from_mins(1))?;
    let remembered = Remembered::find(&mesh).await?;
    let (lines, mut shown) = mpsc::channel(QUEUE);
    let streams = remembered.live(&asked).await?;
    if style::stderr_is_alive() {
        eprintln!("watching {}; Ctrl-C ends", clean(&mesh.name()));
    }
    // A change has no policy, service or identity, and is no failure.
    let changes = !asked.failed
        && [&asked.policy, &asked.service, &asked.identity].iter().all(|filter| filter.is_empty());
    for stream in streams {
        tokio::spawn(follow(stream, changes, lines.clone()));
    }
    let colour = style::stdout_takes_colour();
    let watch = connections(&remembered, asked, lines);
    let show = async {
        let mut count = 0;
        while options.count.is_none_or(|limit| count < limit) {
            let Some(line) = shown.recv().await else { break };
            let line = line?;
            let text = match options.format {
                Format::Json => json(&line)?,
                _ => table(&line, colour),
            };
            write_out(&(text + "\n"))?;
            count += 1;
        }
        Ok(Outcome::Fine)
    };
    let limit = async {
        match options.time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = show => ended,
        failed = watch => Err(failed),
        () = limit => Ok(Outcome::Fine),
        _ = tokio::signal::ctrl_c() => Ok(Outcome::Fine),
    }
}

type Lines = mpsc::Sender<Result<Line, Failure>>;

/// Reads events until the end of the stream.
async fn follow(mut stream: Incoming, changes: bool, lines: Lines) {
    let mut events = Events::default();
    loop {
        let frame = match stream.frame().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return drop(lines.send(Err(ended(&error.to_string()))).await),
            None => return drop(lines.send(Err(ended("it went away"))).await),
        };
        let Some(bytes) = frame.data_ref() else { continue };
        for (name, data) in events.take(bytes) {
            let line = match name.as_str() {
                "incident" => {
                    serde_json::from_str(&data).ok().map(|one| Line::Failed(Box::new(one)))
                }
                "event" if changes => {
                    serde_json::from_str(&data).ok().map(|one| Line::Changed(Box::new(one)))
                }
                _ => None,
            };
            if let Some(line) = line
                && lines.send(Ok(line)).await.is_err()
            {
                return;
            }
        }
    }
}

fn ended(why: &str) -> Failure {
    crate::failed!("what was followed has ended: {why}; start again, or see `ambit check`")
}

/// Looks at open connections again and again; ends only with a failure.
async fn connections(remembered: &Remembered, asked: Asked, lines: Lines) -> Failure {
    let mut opened = Opened::default();
    loop {
        let window = Asked::last(Duration::from_mins(1));
        let asked = Asked {
            from_ms: window.from_ms,
            to_ms: window.to_ms,
            limit: Some(10_000),
            ..asked.clone()
        };
        // What failed has no open connection.
        if !asked.failed {
            let page = match remembered.page::<Connections>("connections", &asked).await {
                Ok(page) => page,
                Err(failure) => return failure,
            };
            let now: BTreeMap<(String, u64), Connection> = page
                .page
                .connections
                .into_iter()
                .map(|one| ((one.node.clone(), one.id), one))
                .collect();
            for change in opened.next(now) {
                let line = match change {
                    Change::Opened(one) => Line::Opened(Box::new(one)),
                    Change::Closed(one) => Line::Closed(Box::new(one)),
                };
                // Our reader ends before we do.
                let _ = lines.send(Ok(line)).await;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn json(line: &Line) -> anyhow::Result<String> {
    let text = serde_json::to_string(line)?;
    Ok(crate::terminal::escape::clean_json(&text).into_owned())
}

fn table(line: &Line, colour: bool) -> String {
    let (at_ms, word, style, text) = match line {
        Line::Opened(one) => (one.began_ms, "opened", Style::Good, connection(one)),
        Line::Closed(one) => {
            let bytes = format!(
                "; {} sent, {} received",
                units::bytes(one.sent_bytes),
                units::bytes(one.received_bytes)
            );
            (observe::now_ms(), "closed", Style::Dim, connection(one) + &bytes)
        }
        Line::Failed(one) => {
            let word = if is_refusal(one) { "refused" } else { "failed" };
            (one.at_ms, word, Style::Bad, incident(one))
        }
        Line::Changed(one) => {
            (one.at_ms, "changed", Style::Plain, format!("{}: {}", one.subject, one.text))
        }
    };
    format!("{} {} {}", clock(at_ms), style.paint(&format!("{word:<7}"), colour), clean(&text))
}

fn connection(one: &Connection) -> String {
    let key = one.key.clone().unwrap_or_default();
    let security = match key.security.as_str() {
        "" => String::new(),
        security => format!(" {security}"),
    };
    format!(
        "{} -> {}:{}{security}",
        side(key.source.as_ref(), &one.source_pod, &one.source_address),
        side(key.destination.as_ref(), &one.destination_pod, &one.destination_address),
        key.port
    )
}

fn incident(one: &Incident) -> String {
    let key = one.key.clone().unwrap_or_default();
    let mut text = format!(
        "{} -> {}:{}",
        side(key.source.as_ref(), &one.source_pod, &one.source_address),
        side(key.destination.as_ref(), &one.destination_pod, &one.destination_address),
        key.port
    );
    if !one.method.is_empty() {
        text += &format!(" {} {}{}", one.method, one.authority, one.path);
    }
    let identity = caller(&key);
    for (name, value) in
        [("", one.error.as_str()), ("policy ", &key.policy), ("at ", &one.hop), ("as ", &identity)]
    {
        if !value.is_empty() {
            text += &format!("; {name}{value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use observe::pb::{EdgeKey, Party};

    use super::*;

    #[test]
    fn a_refusal_says_who_where_by_what_and_why_and_acts_on_no_terminal() {
        let party = |name: &str, identity: &str| {
            Some(Party {
                namespace: "shop".into(),
                workload: name.into(),
                identity: identity.into(),
            })
        };
        let incident = Incident {
            at_ms: 1_700_000_000_000,
            key: Some(EdgeKey {
                source: party("web", "spiffe://td/ns/shop/sa/web"),
                destination: party("store", ""),
                port: 80,
                policy: "shop/deny".into(),
                failure: "DENY".into(),
                ..EdgeKey::default()
            }),
            error: "no\u{1b}[2J".into(),
            hop: "waypoint".into(),
            method: "GET".into(),
            authority: "store".into(),
            path: "/admin\n".into(),
            ..Incident::default()
        };
        let line = Line::Failed(Box::new(incident));
        assert_eq!(
            table(&line, false),
            "2023-11-14T22:13:20Z refused shop/web -> shop/store:80 GET store/admin\\u{a}; \
             no\\u{1b}[2J; policy shop/deny; at waypoint; as spiffe://td/ns/shop/sa/web"
        );
        let json = json(&line).expect("JSON");
        assert!(
            json.starts_with("{\"what\":\"failed\",\"of\":{") && !json.contains('\n'),
            "{json}"
        );
    }
}
