//! What a provider is told of a request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use hbone::identity::SpiffeId;
use hbone::wire::pb::envoy::config::core::v3::{Address, SocketAddress, address};
use hbone::wire::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use hbone::wire::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use http::Version;

use super::Body;
use crate::http::head::Head;
use crate::pipeline::Exchange;

const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// The request of a check, of which `number` is the one in this waypoint.
pub(super) fn request(
    exchange: &Exchange,
    own: &SpiffeId,
    number: u64,
    body: Option<Body>,
) -> CheckRequest {
    let head = &exchange.head;
    let inbound = &exchange.inbound;
    let mut http = HttpRequest {
        id: number.to_string(),
        method: head.method.to_string(),
        headers: headers(head),
        path: head.target(),
        host: head.authority(),
        scheme: "http".to_owned(),
        protocol: protocol(head.version).to_owned(),
        ..HttpRequest::default()
    };
    if let Some(body) = body {
        http.size = i64::try_from(body.bytes.len()).unwrap_or(i64::MAX);
        http.headers.insert(PARTIAL_BODY.to_owned(), (!body.whole).to_string());
        if body.as_bytes {
            http.raw_body = body.bytes.to_vec();
        } else {
            http.body = String::from_utf8_lossy(&body.bytes).replace('\u{fffd}', "!");
        }
    }
    let time = SystemTime::now() - exchange.arrived.elapsed();
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer(inbound.client, inbound.peer.to_string())),
            destination: Some(peer(inbound.target.address(), own.to_string())),
            request: Some(Request { time: Some(time.into()), http: Some(http) }),
            ..AttributeContext::default()
        }),
    }
}

fn peer(at: SocketAddr, principal: String) -> Peer {
    let socket = SocketAddress {
        address: at.ip().to_string(),
        port_value: at.port().into(),
        ..SocketAddress::default()
    };
    let address = Address { address: Some(address::Address::SocketAddress(socket)) };
    Peer { address: Some(address), principal, ..Peer::default() }
}

/// Lower-case names, repeats joined, pseudo headers among them, and no `host`.
fn headers(head: &Head) -> HashMap<String, String> {
    let mut map: HashMap<String, String> = HashMap::new();
    for (name, value) in &head.headers {
        if name.as_str() == PARTIAL_BODY {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes()).replace('\u{fffd}', "!");
        map.entry(name.as_str().to_owned())
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert(value);
    }
    map.insert(":authority".to_owned(), head.authority());
    map.insert(":method".to_owned(), head.method.to_string());
    map.insert(":path".to_owned(), head.target());
    map.insert(":scheme".to_owned(), "http".to_owned());
    map
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
