//! Connections that do nothing.

use std::io::Read as _;
use tokio::task::JoinSet;

use super::exchange::{Exchange as _, MESSAGE, Raw};
use super::{Purpose, Target, open};

/// Written when all connections are open.
pub const OPEN: &str = "all connections are open";
/// Connections that are being opened at once.
const AT_ONCE: usize = 32;

/// Opens all connections, sends one request on each, says so, and waits for the end of
/// standard input.
pub(super) async fn run(target: &Target) -> anyhow::Result<()> {
    let mut streams = Vec::with_capacity(target.connections);
    let mut opening = JoinSet::new();
    for _ in 0..target.connections {
        if opening.len() >= AT_ONCE
            && let Some(opened) = opening.join_next().await
        {
            streams.push(opened??);
        }
        let to = target.to;
        opening.spawn(async move {
            let stream = open(to, Purpose::Exchange(MESSAGE as u32)).await?;
            let mut connection = Raw { stream, message: [0; MESSAGE] };
            connection.once().await?;
            Ok::<_, std::io::Error>(connection.stream)
        });
    }
    while let Some(opened) = opening.join_next().await {
        streams.push(opened??);
    }
    println!("{OPEN}");
    // The kernel keeps them; this thread has nothing else to do.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(streams);
    Ok(())
}
