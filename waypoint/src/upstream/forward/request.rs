//! The request as the application gets it.

use hbone::wire::workload::{AppProtocol, Service};
use http::header::{self, HeaderValue};
use http::{Method, Request, Uri, Version};

use crate::directory::Target;
use crate::failure::Failure;
use crate::http::body::Body;
use crate::pipeline::{Destination, Exchange};
use crate::upstream::pool::Protocol;

/// Writes it in the version that is spoken there.
pub(super) fn build(
    exchange: &Exchange,
    protocol: Protocol,
    body: Body,
) -> Result<Request<Body>, Failure> {
    let head = &exchange.head;
    let bad = |_| Failure::Malformed("the request cannot be written as HTTP");
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.headers_mut() = head.headers.clone();
    let authority = head.authority();
    match protocol {
        Protocol::Http1 => {
            *request.uri_mut() = head.target().parse::<Uri>().map_err(bad)?;
            let host = HeaderValue::try_from(&authority);
            let host =
                host.map_err(|_| Failure::Malformed("the host cannot be written as HTTP"))?;
            request.headers_mut().insert(header::HOST, host);
            if let Some(upgrade) = &head.upgrade {
                let headers = request.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, upgrade.clone());
            } else if request.headers().contains_key(header::TE) {
                request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("te"));
            }
        }
        Protocol::Http2 => {
            let uri = format!("http://{authority}{}", head.target());
            *request.uri_mut() = uri.parse::<Uri>().map_err(bad)?;
            *request.version_mut() = Version::HTTP_2;
        }
    }
    Ok(request)
}

/// What the port says, else what the client speaks; gRPC is always HTTP/2, an upgrade never.
pub(super) fn protocol(exchange: &Exchange) -> Protocol {
    let head = &exchange.head;
    if head.upgrade.is_some() {
        return Protocol::Http1;
    }
    let service = |service: &Service, port: u16| {
        service.ports.iter().find(|p| p.service == port).map(|p| p.app)
    };
    let app = match (&exchange.destination, &exchange.target) {
        (Some(Destination::Service(s, port)), _) => service(s, *port),
        (_, Target::Workload { services, address, .. }) => services.iter().find_map(|key| {
            let service = exchange.world.directory.service(key)?;
            service.ports.iter().find(|p| p.target == address.port()).map(|p| p.app)
        }),
        (_, Target::Service { .. }) => None,
    };
    match app.unwrap_or_default() {
        AppProtocol::Http2 | AppProtocol::Grpc => Protocol::Http2,
        AppProtocol::Http11 if !head.is_grpc() => Protocol::Http1,
        AppProtocol::Http11 | AppProtocol::Unknown | AppProtocol::Tcp | AppProtocol::Tls => {
            if head.version == Version::HTTP_2 { Protocol::Http2 } else { Protocol::Http1 }
        }
    }
}

/// RFC 9110 section 9.2.2.
pub(super) fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}
