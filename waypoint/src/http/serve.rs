//! HTTP/1.1 and HTTP/2 connections inside tunnels.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hbone::tunnel::Drain;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use super::body::Body;
use super::guard::{Guard, Rejection, Signals};
use super::leash::{Leash, Leashed};
use super::{MAX_HEADER_BYTES, MAX_HEADER_COUNT};
use crate::engine::Engine;
use crate::failure::Failure;
use crate::inbound::Inbound;

/// What an HTTP/2 client sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// Bytes of one request body in flight.
const STREAM_WINDOW: u32 = 256 * 1024;
/// A connection has a window for every stream on it, so that none stalls another.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS;
/// Streams reset by the peer that wait to be noticed; more is an attack.
const MAX_RESETS: usize = 50;

/// An extension of an answer after which its connection takes no further requests.
#[derive(Clone, Copy, Debug)]
pub struct LastOnConnection;

/// Serves HTTP/1.1 on `stream`, of which `first` was read already, until it ends or the
/// drain has let its last request finish.
pub async fn http1<S>(
    engine: Arc<Engine>,
    inbound: Arc<Inbound>,
    stream: S,
    first: BytesMut,
    mut drain: Drain,
) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (guard, signals) = Guard::new(stream, first);
    let left = left_by(&engine, &inbound);
    let leash = Leash::default();
    let of_connection = leash.clone();
    let service = service_fn(move |request| {
        let (engine, inbound, signals) = (engine.clone(), inbound.clone(), signals.clone());
        let leash = of_connection.clone();
        async move { Ok::<_, Infallible>(one(&engine, &inbound, request, &signals, &leash).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(MAX_HEADER_COUNT + 1)
        .max_header_size(2 * MAX_HEADER_BYTES);
    let connection = builder.serve_connection(TokioIo::new(guard), service).with_upgrades();
    let serving = async move {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            // Before the drain, so that a request which has arrived is answered.
            biased;
            ended = connection.as_mut() => return ended,
            () = drain.begun() => connection.as_mut().graceful_shutdown(),
            () = left => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    };
    leash.until_cut(serving).await.unwrap_or(Ok(()))
}

/// Completes when the connection of `inbound` should end, since another way is right by now.
fn left_by(engine: &Arc<Engine>, inbound: &Arc<Inbound>) -> impl Future<Output = ()> + use<> {
    let (state, inbound) = (Arc::clone(&engine.state), Arc::clone(inbound));
    async move { state.left_by(&inbound).await }
}

async fn one(
    engine: &Engine,
    inbound: &Arc<Inbound>,
    request: Request<Incoming>,
    signals: &Signals,
    leash: &Leash,
) -> Response<Body> {
    let refused = signals.rejection().map(|rejection| match rejection {
        Rejection::Malformed(why) => Failure::Malformed(why),
        Rejection::TooLarge => Failure::HeaderTooLarge,
        Rejection::Late => Failure::HeaderTimeout,
    });
    let mut response = engine.handle(inbound, request, refused, leash).await;
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if response.extensions().get::<LastOnConnection>().is_some() && !upgraded {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    signals.upgraded(upgraded);
    response
}

/// Serves HTTP/2 with prior knowledge on `stream`, which begins with its preface.
pub async fn http2<S>(
    engine: Arc<Engine>,
    inbound: Arc<Inbound>,
    stream: S,
    mut drain: Drain,
) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let left = left_by(&engine, &inbound);
    let last = Arc::new(Notify::new());
    let tell = Arc::clone(&last);
    let service = service_fn(move |request| {
        let (engine, inbound, tell) = (engine.clone(), inbound.clone(), tell.clone());
        async move {
            let mut response = engine.handle(&inbound, request, None, &Leash::of_task()).await;
            response.headers_mut().remove(CONNECTION);
            if response.extensions().get::<LastOnConnection>().is_some() {
                tell.notify_one();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http2::Builder::new(Leashed);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .keep_alive_interval(Duration::from_mins(1))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // Before the drain, so that a request which has arrived is answered.
        biased;
        ended = connection.as_mut() => return ended,
        () = drain.begun() => connection.as_mut().graceful_shutdown(),
        () = left => connection.as_mut().graceful_shutdown(),
        () = last.notified() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
