//! The messages of docs/wire.md, "External authorization".

use hbone::wire::pb::envoy::config::core::v3 as core;
use hbone::wire::pb::envoy::service::auth::v3 as auth;
use hbone::wire::pb::envoy::r#type::v3::HttpStatus;
use hbone::wire::pb::google::rpc::Status;
use prost_types::{Struct, Timestamp};

use super::{metadata, same, strings};

fn header() -> core::HeaderValue {
    core::HeaderValue { key: "x-a".into(), value: "1".into(), raw_value: vec![1] }
}

fn option() -> core::HeaderValueOption {
    core::HeaderValueOption {
        header: Some(header()),
        append: Some(true),
        append_action: core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
        keep_empty_value: true,
    }
}

fn denied() -> auth::DeniedHttpResponse {
    auth::DeniedHttpResponse {
        status: Some(HttpStatus { code: 403 }),
        headers: vec![option()],
        body: "no".into(),
    }
}

fn status(code: i32) -> Status {
    Status { code, ..Status::default() }
}

fn filter_metadata(name: &str, value: Struct) -> core::Metadata {
    core::Metadata { filter_metadata: [(name.to_owned(), value)].into() }
}

fn client() -> auth::attribute_context::Peer {
    let address = core::SocketAddress {
        protocol: core::socket_address::Protocol::Udp as i32,
        address: "10.1.0.5".into(),
        port_value: 43_210,
    };
    auth::attribute_context::Peer {
        address: Some(core::Address {
            address: Some(core::address::Address::SocketAddress(address)),
        }),
        service: "web".into(),
        labels: [("app".to_owned(), "web".to_owned())].into(),
        principal: "spiffe://td/ns/shop/sa/web".into(),
        certificate: "PEM".into(),
    }
}

fn server() -> auth::attribute_context::Peer {
    let pipe = core::address::Address::Pipe(core::Pipe { path: "/run/s".into() });
    auth::attribute_context::Peer {
        address: Some(core::Address { address: Some(pipe) }),
        ..Default::default()
    }
}

#[test]
fn a_check() {
    let http = auth::attribute_context::HttpRequest {
        id: "7".into(),
        method: "GET".into(),
        headers: [(":path".to_owned(), "/a?b".to_owned())].into(),
        path: "/a?b".into(),
        host: "h".into(),
        scheme: "http".into(),
        query: "b".into(),
        fragment: "f".into(),
        size: 3,
        protocol: "HTTP/2".into(),
        body: "abc".into(),
        raw_body: vec![0xff],
        header_map: Some(core::HeaderMap { headers: vec![header()] }),
    };
    let attributes = auth::AttributeContext {
        source: Some(client()),
        destination: Some(server()),
        request: Some(auth::attribute_context::Request {
            time: Some(Timestamp { seconds: 1, nanos: 2 }),
            http: Some(http),
        }),
        context_extensions: [("k".to_owned(), "v".to_owned())].into(),
        metadata_context: Some(filter_metadata("f", metadata())),
        tls_session: Some(auth::attribute_context::TlsSession { sni: "s".into() }),
        route_metadata_context: Some(filter_metadata("g", metadata())),
    };
    same("check_request", &auth::CheckRequest { attributes: Some(attributes) });
}

#[test]
fn its_answers() {
    use auth::check_response::HttpResponse;
    let parameter = core::QueryParameter { key: "q".into(), value: "1".into() };
    let ok = auth::OkHttpResponse {
        headers: vec![option()],
        dynamic_metadata: Some(metadata()),
        headers_to_remove: strings(&["x-b"]),
        response_headers_to_add: vec![option()],
        query_parameters_to_set: vec![parameter],
        query_parameters_to_remove: strings(&["r"]),
    };
    let answer = |code, response, dynamic_metadata| auth::CheckResponse {
        status: Some(status(code)),
        http_response: Some(response),
        dynamic_metadata,
    };
    same("check_allowed", &answer(0, HttpResponse::OkResponse(ok), Some(metadata())));
    same("check_denied", &answer(7, HttpResponse::DeniedResponse(denied()), None));
    same("check_failed", &answer(13, HttpResponse::ErrorResponse(denied()), None));
}
