//! Connections of HTTP/2, which many requests share.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::oneshot;

use super::{MAX_ANSWER_HEADER, MAX_STREAMS, Shared, Slot, broken, lock};
use crate::account::Place;
use crate::authorize::Permit;
use crate::directory::balance::Endpoint;
use crate::failure::Failure;
use crate::http::body::Body;
use crate::upstream::connect::Connect;
use crate::upstream::sending::Sending;
use crate::upstream::stream::Stream;

/// How long a connection is still attempted when the request that wanted it is gone.
const ABANDONED: Duration = Duration::from_secs(1);
/// Bytes of one answer in flight.
const STREAM_WINDOW: u32 = 256 * 1024;
/// A connection has a window for every stream on it, so that none stalls another.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;

/// Opens a connection and puts it into its slot, with one place taken.
pub(super) async fn open(
    connect: Arc<dyn Connect>,
    slot: Arc<Slot>,
    endpoint: Endpoint,
    permit: Permit,
) -> Result<(http2::SendRequest<Body>, Place), Failure> {
    let stream = connect.connect(&endpoint, &permit).await?;
    let sender = handshake(stream, &endpoint).await?;
    let (place, streams) = Place::first();
    lock(&slot.shared).push(Shared { sender: sender.clone(), streams });
    Ok((sender, place))
}

/// Completes when nobody has waited for a connection for [`ABANDONED`].
pub(super) async fn abandoned<T>(caller: &mut oneshot::Sender<T>) {
    caller.closed().await;
    tokio::time::sleep(ABANDONED).await;
}

async fn handshake(
    stream: Stream,
    endpoint: &Endpoint,
) -> Result<http2::SendRequest<Body>, Failure> {
    let mut builder = http2::Builder::new(Sending);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_ANSWER_HEADER)
        .keep_alive_interval(Duration::from_secs(8))
        .keep_alive_timeout(Duration::from_secs(5));
    let shaken = builder.handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| broken(endpoint, &error, None).failure)?;
    let address = endpoint.address;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(peer = %address, %error, "connection to an application ended");
        }
    });
    Ok(sender)
}
