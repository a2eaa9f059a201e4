//! HTTP/1.1 and HTTP/2 connections inside tunnels.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hbone::tunnel::Drain;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::Body;
use super::guard::{Guard, Rejection, Signals};
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
    let service = service_fn(move |request| {
        let (engine, inbound, signals) = (engine.clone(), inbound.clone(), signals.clone());
        async move { Ok::<_, Infallible>(one(&engine, &inbound, request, &signals).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(MAX_HEADER_COUNT + 1)
        .max_header_size(2 * MAX_HEADER_BYTES);
    let connection = builder.serve_connection(TokioIo::new(guard), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // Before the drain, so that a request which has arrived is answered.
        biased;
        ended = connection.as_mut() => return ended,
        () = drain.begun() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn one(
    engine: &Engine,
    inbound: &Arc<Inbound>,
    request: Request<Incoming>,
    signals: &Signals,
) -> Response<Body> {
    let refused = signals.rejection().map(|rejection| match rejection {
        Rejection::Malformed(why) => Failure::Malformed(why),
        Rejection::TooLarge => Failure::HeaderTooLarge,
        Rejection::Late => Failure::HeaderTimeout,
    });
    let response = engine.handle(inbound, request, refused).await;
    signals.upgraded(response.status() == StatusCode::SWITCHING_PROTOCOLS);
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
    let service = service_fn(move |request| {
        let (engine, inbound) = (engine.clone(), inbound.clone());
        async move {
            let mut response = engine.handle(&inbound, request, None).await;
            response.headers_mut().remove(http::header::CONNECTION);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
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
    }
    connection.await
}
