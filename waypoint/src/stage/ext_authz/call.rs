//! The call of a provider: ordinary mesh traffic.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hbone::wire::pb::envoy::service::auth::v3::CheckRequest;
use hbone::wire::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use hbone::wire::workload::Workload;
use http::{Request, Response};
use http_body_util::BodyExt;
use rand::Rng as _;

use super::outcome::Outcome;
use crate::authorize;
use crate::config::provider::ProviderCall;
use crate::directory::Directory;
use crate::directory::balance::{self, Endpoint};
use crate::failure::Failure;
use crate::http::body::{Body, BoxError};
use crate::upstream::forward::Forwarder;
use crate::upstream::pool::{Lease, Protocol};
use crate::upstream::resolve::settle;

/// Largest answer of a provider, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Asks; the caller bounds the time. An endpoint that could not be reached is replaced by
/// another once, since it has seen nothing.
pub(super) async fn check(
    forwarder: &Arc<Forwarder>,
    directory: &Directory,
    own: Option<&Workload>,
    call: &ProviderCall,
    request: CheckRequest,
) -> Outcome {
    let error = |reason: String| Outcome::Error { reason, answer: None };
    let Some(service) = directory.service(&call.service) else {
        return error(format!("service {} is not known", call.service));
    };
    let began = Instant::now();
    let mut tried = Vec::new();
    loop {
        let random = rand::rng().random();
        let chosen = balance::choose(directory, service, call.port, own, &tried, random);
        let Some(chosen) = chosen else {
            return error(format!(
                "{} has no healthy endpoint for port {}",
                call.service, call.port
            ));
        };
        let resolver = forwarder.resolver();
        let host = &call.service.hostname;
        let endpoint = match settle(resolver, chosen, None, host, &tried, random).await {
            Ok(endpoint) => endpoint,
            Err(failure) => return error(failure.to_string()),
        };
        let address = endpoint.address;
        let transport = Transport { forwarder: forwarder.clone(), endpoint };
        let origin = format!("http://{}:{}", call.service.hostname, call.port);
        let Ok(origin) = origin.parse() else {
            return error(format!("{origin:?} is no authority"));
        };
        let mut client = AuthorizationClient::with_origin(transport, origin)
            .max_decoding_message_size(MAX_ANSWER);
        let mut message = tonic::Request::new(request.clone());
        message.set_timeout(call.timeout);
        match client.check(message).await {
            Ok(response) => return Outcome::read(response.into_inner()),
            Err(status) if tried.is_empty() && never_sent(&status) => tried.push(address),
            // An engine knows the deadline too, and may say so a moment before our own does.
            Err(status) if is_late(&status) && began.elapsed() >= call.timeout => {
                return error(unanswered(call.timeout));
            }
            Err(status) => return error(format!("{:?}: {}", status.code(), status.message())),
        }
    }
}

/// Why there is no decision, where none came in time.
pub(super) fn unanswered(timeout: Duration) -> String {
    format!("no answer within {timeout:?}")
}

fn is_late(status: &tonic::Status) -> bool {
    matches!(status.code(), tonic::Code::Cancelled | tonic::Code::DeadlineExceeded)
}

fn never_sent(status: &tonic::Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return failure.retry_safe();
        }
        source = error.source();
    }
    false
}

/// One endpoint as gRPC's transport.
#[derive(Clone)]
struct Transport {
    forwarder: Arc<Forwarder>,
    endpoint: Endpoint,
}

type Calling = Pin<Box<dyn Future<Output = Result<Response<Leased>, BoxError>> + Send>>;

impl tower::Service<Request<tonic::body::Body>> for Transport {
    type Response = Response<Leased>;
    type Error = BoxError;
    type Future = Calling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Calling {
        let Self { forwarder, endpoint } = self.clone();
        Box::pin(async move {
            let request = request.map(|body| body.map_err(BoxError::from).boxed_unsync());
            let permit = authorize::for_authorizer();
            let sent = forwarder
                .connections()
                .send(&endpoint, Protocol::Http2, &permit, None, request)
                .await;
            let (response, lease) = sent.map_err(|error| Box::new(error.failure))?;
            Ok(response.map(|body| Leased {
                inner: body.map_err(BoxError::from).boxed_unsync(),
                _lease: lease,
            }))
        })
    }
}

/// An answer's body with the lease of its connection.
struct Leased {
    inner: Body,
    _lease: Lease,
}

impl http_body::Body for Leased {
    type Data = bytes::Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, BoxError>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }
}
