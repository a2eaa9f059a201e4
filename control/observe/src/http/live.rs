//! What happens, as server-sent events (HTML standard, "Server-sent events").

use std::time::Duration;

use bytes::Bytes;
use hbone::serve::Reply;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::parameters::{Parameters, Wrong};
use crate::now_ms;
use crate::pb::Filter;
use crate::query::filter;
use crate::recorder::Happened;
use crate::source::Source;

/// How often a page hears that the connection lives.
const TICK: Duration = Duration::from_secs(1);
/// Events that wait for a page that reads slowly; further ones are left out.
const QUEUE: usize = 64;

/// Begins a stream; it ends when the page goes.
pub(super) fn stream(source: &dyn Source, query: &str) -> Result<Reply, Wrong> {
    let mut parameters = Parameters::parse(query)?;
    let wanted = parameters.filter()?;
    parameters.none_left()?;
    let mut happens = source.watch();
    let (to_page, body) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(TICK);
        loop {
            let event = tokio::select! {
                () = to_page.closed() => return,
                _ = tick.tick() => event("tick", &serde_json::json!({ "nowMs": now_ms() })),
                happened = happens.recv() => match happened {
                    Ok(happened) => shown(&wanted, &happened),
                    Err(RecvError::Lagged(_)) => None,
                    Err(RecvError::Closed) => return,
                },
            };
            if let Some(event) = event {
                // A page that does not read misses some, and asks for the window anyway.
                let _ = to_page.try_send(event);
            }
        }
    });
    Ok(Reply::stream("text/event-stream", body))
}

fn shown(wanted: &Filter, happened: &Happened) -> Option<Bytes> {
    match happened {
        Happened::Incident(incident) if filter::incident(wanted, incident) => {
            event("incident", &**incident)
        }
        Happened::Event(change) if filter::event(wanted, change) => event("event", &**change),
        Happened::Incident(_) | Happened::Event(_) => None,
    }
}

/// JSON has no line end in it, so one line of data is enough.
fn event(name: &str, value: &impl Serialize) -> Option<Bytes> {
    let data = serde_json::to_string(value).ok()?;
    Some(Bytes::from(format!("event: {name}\ndata: {data}\n\n")))
}
