//! The TLS listener, its connections and their requests, each with its bounds.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hbone::serve::{Asked, Reply, Sent};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::door::{Door, Peer};
use super::keys::Keys;
use super::refusal::Refusal;
use super::tally::source;
use crate::limits;

/// Pause after an accept that failed, as when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest name of a reader, characters.
const LONGEST_NAME: usize = 200;

/// Accepts until `stop`.
pub async fn run(listener: TcpListener, keys: Arc<Keys>, door: Arc<Door>, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(limits::MAX_DASHBOARD_CONNECTIONS));
    let places = Arc::new(Places::default());
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection to the dashboards");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        let Some(place) = Places::take(&places, source(address)) else {
            debug!(%peer, "an address has too many connections to the dashboards; one is closed");
            continue;
        };
        let (keys, door, stop) = (keys.clone(), door.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(tcp, address, &keys, door) => {}
                () = stop.cancelled() => {}
            }
            drop((place, permit));
        });
    }
}

async fn connection(tcp: TcpStream, address: IpAddr, keys: &Keys, door: Arc<Door>) {
    let handshake = async {
        tcp.set_nodelay(true)?;
        tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, keys.acceptor().accept(tcp)).await?
    };
    let tls: TlsStream<TcpStream> = match handshake.await {
        Ok(tls) => tls,
        // Nobody asked for anything: a probe of a load balancer, or somebody who gave up.
        Err(error)
            if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) =>
        {
            return debug!(%address, %error, "a connection to the dashboards ended early");
        }
        Err(error) => {
            let refusal = Refusal::Handshake(said(&error));
            return door.audit().refused(&refusal, address, "");
        }
    };
    let from = Arc::new(Peer { address, certificate: reader(&tls) });
    let service = service_fn(move |request| respond(door.clone(), from.clone(), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::DASHBOARD_HEAD_TIMEOUT)
        .max_buf_size(limits::MAX_DASHBOARD_HEAD)
        .serve_connection(TokioIo::new(tls), service);
    match tokio::time::timeout(limits::DASHBOARD_CONNECTION_LIFE, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%address, %error, "a connection to the dashboards failed"),
        Err(_) => debug!(%address, "a connection to the dashboards reached its time limit"),
    }
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut => "the handshake takes too long".to_owned(),
        _ => error.to_string(),
    }
}

async fn respond(
    door: Arc<Door>,
    from: Arc<Peer>,
    request: Request<Incoming>,
) -> Result<Response<Sent>, http::Error> {
    let (head, body) = request.into_parts();
    let mut reply = if head.method == Method::POST {
        match whole(body).await {
            Ok(body) => door.post(head.uri.path(), &head.headers, body, &from).await,
            Err((status, text)) => Reply::text(status, text).with(header::CONNECTION, "close"),
        }
    } else {
        let asked = Asked { method: head.method, uri: head.uri, headers: head.headers };
        door.get(asked, &from).await
    };
    let own = HeaderValue::from_static("same-origin");
    reply.headers.insert("cross-origin-resource-policy", own);
    reply.into_response()
}

/// The body, or the status and the words of a refusal.
async fn whole(body: Incoming) -> Result<Bytes, (StatusCode, &'static str)> {
    let body = Limited::new(body, limits::MAX_DASHBOARD_BODY).collect();
    match tokio::time::timeout(limits::DASHBOARD_HEAD_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n")),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body takes too long\n")),
    }
}

/// The name of the verified client certificate, if there is one.
fn reader(tls: &TlsStream<TcpStream>) -> Option<Arc<str>> {
    let leaf = tls.get_ref().1.peer_certificates()?.first()?;
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let common = certificate.subject().iter_common_name().find_map(|name| name.as_str().ok());
    let names = certificate.subject_alternative_name().ok().flatten();
    let other = names.and_then(|names| {
        names.value.general_names.iter().find_map(|name| match name {
            GeneralName::RFC822Name(name) | GeneralName::DNSName(name) | GeneralName::URI(name) => {
                Some(*name)
            }
            _ => None,
        })
    });
    let name = common.or(other).map_or_else(|| certificate.raw_serial_as_string(), str::to_owned);
    Some(name.chars().take(LONGEST_NAME).collect::<String>().into())
}

/// Connections by address: one takes not all.
#[derive(Debug, Default)]
struct Places(Mutex<HashMap<IpAddr, usize>>);

/// One of them; given back when it is dropped.
struct Place(Arc<Places>, IpAddr);

impl Places {
    fn take(places: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= limits::MAX_DASHBOARD_CONNECTIONS_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Place(places.clone(), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_so_many_connections_and_leaves_room_for_others() {
        let places = Arc::new(Places::default());
        let one: IpAddr = [10, 0, 0, 1].into();
        let most = limits::MAX_DASHBOARD_CONNECTIONS_OF_ONE;
        let mut taken: Vec<_> = (0..most).map(|_| Places::take(&places, one)).collect();
        assert!(taken.iter().all(Option::is_some));
        assert!(Places::take(&places, one).is_none());
        assert!(Places::take(&places, [10, 0, 0, 2].into()).is_some());
        taken.pop();
        assert!(Places::take(&places, one).is_some());
        taken.clear();
        assert!(places.0.lock().expect("sound").is_empty(), "nothing is kept of who has left");
    }
}
