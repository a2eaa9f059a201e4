//! Why the waypoint answers a request itself.
//!
//! One type carries hop, fault, reason and whether a retry is safe; HTTP status, response
//! flags, `Proxy-Status` (RFC 9209) and log are exhaustive matches on it.

#![expect(clippy::match_same_arms, reason = "arms are grouped by what failed, not by the answer")]

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hbone::resolve::Unresolved;
use hbone::tunnel::TunnelError;
use hbone::wire::address::NamespacedHostname;
use http::StatusCode;

use crate::authorize::Revoked;
use crate::config::object::ObjectName;
use crate::directory::NotServed;
use crate::path::PathError;
use crate::stage::jwt::TokenError;

/// Where a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hop {
    /// Between the client and us.
    Client,
    /// Here.
    Waypoint,
    /// At an external authorizer.
    Authorizer,
    /// Between us and the application.
    Application,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request is wrong or not allowed.
    Client,
    /// Configuration or limits of the mesh.
    Ours,
    /// The application or its node.
    Upstream,
}

/// Why the waypoint answers a request itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The request is not one that has a single meaning.
    #[error("{0}")]
    Malformed(&'static str),
    /// Its path has no canonical form.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Header section over its limits.
    #[error("the header section is larger than the limit")]
    HeaderTooLarge,
    /// Header section not complete in time.
    #[error("the header section did not arrive in time")]
    HeaderTimeout,
    /// Longer than the authorizer of the request may see.
    #[error("the body is longer than the {limit} bytes that its authorizer checks")]
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The part of the body that an authorizer is to see did not come in time.
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    /// The client stopped its body in the middle.
    #[error("the request body broke off")]
    BodyBroken,
    /// A policy refuses.
    #[error("denied by policy {policy}")]
    Denied {
        /// The DENY policy.
        policy: ObjectName,
    },
    /// There are ALLOW policies and none allows.
    #[error("no ALLOW policy allows the request")]
    NotAllowed,
    /// The token is not accepted, or there are several.
    #[error("{reason} ({policy})")]
    Unauthenticated {
        /// The RequestAuthentication that says so, or one that looks where the token was.
        policy: ObjectName,
        /// Why.
        reason: TokenError,
    },
    /// What says which tokens are trusted is not understood.
    #[error("{policy} is not understood, so every request is refused")]
    AuthenticationUnreadable {
        /// The RequestAuthentication.
        policy: ObjectName,
    },
    /// A policy turned against what had been permitted.
    #[error("ended since policy changed: {0}")]
    Revoked(#[from] Revoked),
    /// An authorizer refuses with an answer of its own.
    #[error("denied by authorizer {provider}")]
    AuthorizerDenied {
        /// The provider.
        provider: Arc<str>,
        /// Its status.
        status: StatusCode,
    },
    /// An authorizer did not decide.
    #[error("authorizer {provider} failed: {reason}")]
    AuthorizerFailed {
        /// The provider.
        provider: Arc<str>,
        /// What is answered.
        status: StatusCode,
        /// Why.
        reason: String,
    },
    /// An authorizer answered with what cannot be applied.
    #[error("authorizer {provider} answered what cannot be applied: {reason}")]
    AuthorizerInvalid {
        /// The provider.
        provider: Arc<str>,
        /// What.
        reason: String,
    },
    /// The waypoint has no configuration yet.
    #[error("the waypoint has no configuration yet")]
    NotReady,
    /// What the tunnel is addressed to is not this waypoint's any longer.
    #[error("{0}; a new connection finds the way")]
    Misdirected(#[from] NotServed),
    /// No rule of the service's routes matches.
    #[error("no route matches")]
    NoRoute,
    /// The route cannot be honoured.
    #[error("route {route}: {reason}")]
    Misconfigured {
        /// The route.
        route: ObjectName,
        /// What is wrong.
        reason: String,
    },
    /// A backend that the directory does not have.
    #[error("service {service} has no port {port}")]
    UnknownService {
        /// The service.
        service: NamespacedHostname,
        /// The port.
        port: u16,
    },
    /// Nothing healthy to send to.
    #[error("service {service} has no healthy endpoint for port {port}")]
    NoEndpoint {
        /// The service, or the workload.
        service: String,
        /// The port.
        port: u16,
    },
    /// The name of an endpoint has no address.
    #[error("host name {host} is not resolved: {why}")]
    Unresolved {
        /// The name.
        host: String,
        /// Why not.
        why: Unresolved,
    },
    /// Our own limit of connections.
    #[error("the limit of {limit} connections to {address} is reached")]
    Overflow {
        /// The endpoint.
        address: SocketAddr,
        /// The limit.
        limit: usize,
    },
    /// No tunnel to the application.
    #[error("no tunnel to {address}: {error}")]
    Tunnel {
        /// The endpoint.
        address: SocketAddr,
        /// Why.
        error: Arc<TunnelError>,
    },
    /// No connection to an application outside the mesh.
    #[error("no connection to {address}: {kind}")]
    Connect {
        /// The endpoint.
        address: SocketAddr,
        /// What the kernel said.
        kind: std::io::ErrorKind,
    },
    /// We have no certificate of our own.
    #[error("the waypoint has no certificate")]
    NoCertificate,
    /// The connection broke or the answer was no HTTP.
    #[error("the application at {address} ended the exchange before its answer: {reason}")]
    Broken {
        /// The endpoint.
        address: SocketAddr,
        /// What happened.
        reason: String,
        /// Nothing of the request had been sent.
        unsent: bool,
    },
    /// The application, or the way to it, broke in the middle of its answer.
    #[error("the application at {address} broke its answer off: {reason}")]
    AnswerBroken {
        /// The endpoint.
        address: SocketAddr,
        /// What happened.
        reason: String,
    },
    /// The application did not answer in time.
    #[error("no answer from {address} within {limit:?}")]
    BackendTimeout {
        /// The endpoint.
        address: SocketAddr,
        /// The limit of one try.
        limit: Duration,
    },
    /// The whole request took too long.
    #[error("the request took longer than {limit:?}")]
    RequestTimeout {
        /// The limit of the route.
        limit: Duration,
    },
}

impl Failure {
    /// The answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Path(_) | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeaderTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
            Self::Denied { .. }
            | Self::NotAllowed
            | Self::AuthenticationUnreadable { .. }
            | Self::Revoked(_) => StatusCode::FORBIDDEN,
            Self::AuthorizerDenied { status, .. } | Self::AuthorizerFailed { status, .. } => {
                *status
            }
            Self::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::AuthorizerInvalid { .. } | Self::Misconfigured { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::UnknownService { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotReady
            | Self::NoEndpoint { .. }
            | Self::Unresolved { .. }
            | Self::Overflow { .. }
            | Self::Tunnel { .. }
            | Self::Connect { .. }
            | Self::NoCertificate => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken { .. } | Self::AnswerBroken { .. } => StatusCode::BAD_GATEWAY,
            Self::BackendTimeout { .. } | Self::RequestTimeout { .. } => {
                StatusCode::GATEWAY_TIMEOUT
            }
        }
    }

    /// Where it ended.
    pub fn hop(&self) -> Hop {
        match self {
            Self::Malformed(_)
            | Self::Path(_)
            | Self::HeaderTooLarge
            | Self::HeaderTimeout
            | Self::BodyTimeout
            | Self::BodyBroken => Hop::Client,
            Self::BodyTooLarge { .. }
            | Self::Denied { .. }
            | Self::NotAllowed
            | Self::Unauthenticated { .. }
            | Self::AuthenticationUnreadable { .. }
            | Self::Revoked(_)
            | Self::NotReady
            | Self::Misdirected(_)
            | Self::NoRoute
            | Self::Misconfigured { .. }
            | Self::UnknownService { .. }
            | Self::NoEndpoint { .. }
            | Self::Unresolved { .. }
            | Self::Overflow { .. }
            | Self::NoCertificate
            | Self::RequestTimeout { .. } => Hop::Waypoint,
            Self::AuthorizerDenied { .. }
            | Self::AuthorizerFailed { .. }
            | Self::AuthorizerInvalid { .. } => Hop::Authorizer,
            Self::Tunnel { .. }
            | Self::Connect { .. }
            | Self::Broken { .. }
            | Self::AnswerBroken { .. }
            | Self::BackendTimeout { .. } => Hop::Application,
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Malformed(_)
            | Self::Path(_)
            | Self::HeaderTooLarge
            | Self::HeaderTimeout
            | Self::BodyTimeout
            | Self::BodyTooLarge { .. }
            | Self::BodyBroken
            | Self::Denied { .. }
            | Self::NotAllowed
            | Self::Unauthenticated { .. }
            | Self::Revoked(_)
            | Self::AuthorizerDenied { .. }
            | Self::NoRoute => Fault::Client,
            Self::AuthenticationUnreadable { .. }
            | Self::AuthorizerFailed { .. }
            | Self::AuthorizerInvalid { .. }
            | Self::NotReady
            | Self::Misdirected(_)
            | Self::Misconfigured { .. }
            | Self::UnknownService { .. }
            | Self::Overflow { .. }
            | Self::NoCertificate => Fault::Ours,
            Self::NoEndpoint { .. }
            | Self::Unresolved { .. }
            | Self::Tunnel { .. }
            | Self::Connect { .. }
            | Self::Broken { .. }
            | Self::AnswerBroken { .. }
            | Self::BackendTimeout { .. }
            | Self::RequestTimeout { .. } => Fault::Upstream,
        }
    }

    /// Whether another endpoint may be tried: the application has seen nothing.
    pub fn retry_safe(&self) -> bool {
        match self {
            Self::Overflow { .. } | Self::Connect { .. } => true,
            Self::Tunnel { error, .. } => tunnel_retry_safe(error),
            Self::Broken { unsent, .. } => *unsent,
            Self::Malformed(_)
            | Self::Path(_)
            | Self::HeaderTooLarge
            | Self::HeaderTimeout
            | Self::BodyTimeout
            | Self::BodyTooLarge { .. }
            | Self::BodyBroken
            | Self::Denied { .. }
            | Self::NotAllowed
            | Self::Unauthenticated { .. }
            | Self::AuthenticationUnreadable { .. }
            | Self::Revoked(_)
            | Self::AuthorizerDenied { .. }
            | Self::AuthorizerFailed { .. }
            | Self::AuthorizerInvalid { .. }
            | Self::NotReady
            | Self::Misdirected(_)
            | Self::NoRoute
            | Self::Misconfigured { .. }
            | Self::UnknownService { .. }
            | Self::NoEndpoint { .. }
            | Self::Unresolved { .. }
            | Self::NoCertificate
            | Self::AnswerBroken { .. }
            | Self::BackendTimeout { .. }
            | Self::RequestTimeout { .. } => false,
        }
    }

    /// The response flag of the access log (docs/wire.md, "Layer 7 telemetry").
    pub fn flag(&self) -> &'static str {
        match self {
            Self::Malformed(_)
            | Self::Path(_)
            | Self::HeaderTooLarge
            | Self::BodyTooLarge { .. } => "DPE",
            Self::HeaderTimeout | Self::BodyTimeout => "DT",
            Self::BodyBroken => "DC",
            Self::Denied { .. } | Self::NotAllowed | Self::Revoked(_) => "-",
            // As Envoy flags what its JWT filter refuses.
            Self::Unauthenticated { .. }
            | Self::AuthenticationUnreadable { .. }
            | Self::AuthorizerDenied { .. }
            | Self::AuthorizerFailed { .. }
            | Self::AuthorizerInvalid { .. } => "UAEX",
            Self::NotReady | Self::Misdirected(_) | Self::NoRoute | Self::Misconfigured { .. } => {
                "NR"
            }
            Self::UnknownService { .. } => "NC",
            Self::NoEndpoint { .. } => "UH",
            Self::Unresolved { .. } => "DF",
            Self::Overflow { .. } => "UO",
            Self::Tunnel { .. } | Self::Connect { .. } | Self::NoCertificate => "UF",
            Self::Broken { .. } | Self::AnswerBroken { .. } => "UC",
            Self::BackendTimeout { .. } | Self::RequestTimeout { .. } => "UT",
        }
    }

    /// The constant part of the reason, for metrics and `response_code_details`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_request",
            Self::Path(_) => "path_not_canonical",
            Self::HeaderTooLarge => "request_headers_too_large",
            Self::HeaderTimeout => "request_header_timeout",
            Self::BodyTooLarge { .. } => "request_payload_too_large",
            Self::BodyTimeout => "request_body_timeout",
            Self::BodyBroken => "downstream_body_broken",
            Self::Denied { .. } => "rbac_access_denied_matched_policy",
            Self::NotAllowed => "rbac_access_denied_matched_policy[none]",
            Self::Unauthenticated { reason, .. } => reason.details(),
            Self::AuthenticationUnreadable { .. } => "jwt_authn_access_denied{unreadable}",
            Self::Revoked(_) => "policy_changed",
            Self::AuthorizerDenied { .. } => "ext_authz_denied",
            Self::AuthorizerFailed { .. } => "ext_authz_error",
            Self::AuthorizerInvalid { .. } => "ext_authz_invalid",
            Self::NotReady => "waypoint_not_ready",
            Self::Misdirected(_) => "misdirected_request",
            Self::NoRoute => "route_not_found",
            Self::Misconfigured { .. } => "route_misconfigured",
            Self::UnknownService { .. } => "cluster_not_found",
            Self::NoEndpoint { .. } => "no_healthy_upstream",
            Self::Unresolved { .. } => "dns_resolution_failed",
            Self::Overflow { .. } => "upstream_overflow",
            Self::Tunnel { .. } | Self::Connect { .. } => "upstream_connect_failed",
            Self::NoCertificate => "waypoint_has_no_certificate",
            Self::Broken { .. } => "upstream_reset_before_response",
            Self::AnswerBroken { .. } => "upstream_reset_after_response_started",
            Self::BackendTimeout { .. } => "upstream_per_try_timeout",
            Self::RequestTimeout { .. } => "upstream_response_timeout",
        }
    }

    /// The error type of `Proxy-Status` (RFC 9209 section 2.3).
    pub fn proxy_status_error(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Path(_) | Self::HeaderTooLarge | Self::HeaderTimeout => {
                "http_request_error"
            }
            Self::BodyTooLarge { .. } | Self::BodyTimeout | Self::BodyBroken => {
                "http_request_error"
            }
            Self::Denied { .. }
            | Self::NotAllowed
            | Self::Unauthenticated { .. }
            | Self::AuthenticationUnreadable { .. }
            | Self::Revoked(_)
            | Self::AuthorizerDenied { .. } => "http_request_denied",
            Self::AuthorizerFailed { .. } | Self::AuthorizerInvalid { .. } => {
                "proxy_internal_error"
            }
            Self::NotReady | Self::NoCertificate => "proxy_internal_error",
            Self::Misdirected(_) | Self::NoRoute | Self::UnknownService { .. } => {
                "destination_not_found"
            }
            Self::Misconfigured { .. } => "proxy_configuration_error",
            Self::NoEndpoint { .. } => "destination_unavailable",
            Self::Unresolved { why: Unresolved::Timeout, .. } => "dns_timeout",
            Self::Unresolved { .. } => "dns_error",
            Self::Overflow { .. } => "connection_limit_reached",
            Self::Tunnel { error, .. } => tunnel_proxy_status(error),
            Self::Connect { kind, .. } => match kind {
                std::io::ErrorKind::ConnectionRefused => "connection_refused",
                std::io::ErrorKind::TimedOut => "connection_timeout",
                _ => "destination_ip_unroutable",
            },
            Self::Broken { .. } | Self::AnswerBroken { .. } => "connection_terminated",
            Self::BackendTimeout { .. } | Self::RequestTimeout { .. } => "http_response_timeout",
        }
    }

    /// The policy that refuses.
    pub fn policy(&self) -> Option<&ObjectName> {
        match self {
            Self::Denied { policy }
            | Self::Unauthenticated { policy, .. }
            | Self::AuthenticationUnreadable { policy }
            | Self::Revoked(
                Revoked::Denied(policy) | Revoked::Unasked(policy) | Revoked::Unreadable(policy),
            ) => Some(policy),
            _ => None,
        }
    }

    /// What a client may read: who and why, but nothing of the inside for a refusal.
    pub fn for_client(&self) -> String {
        match self {
            Self::Denied { .. }
            | Self::NotAllowed
            | Self::AuthenticationUnreadable { .. }
            | Self::Revoked(_)
            | Self::AuthorizerDenied { .. } => "denied by policy".into(),
            Self::Unauthenticated { reason, .. } => reason.to_string(),
            Self::AuthorizerFailed { .. } | Self::AuthorizerInvalid { .. } => {
                "the external authorizer did not decide".into()
            }
            other => other.to_string(),
        }
    }

    /// `WWW-Authenticate` of the answer (RFC 6750 section 3).
    pub fn challenge(&self) -> Option<String> {
        let Self::Unauthenticated { reason, .. } = self else { return None };
        Some(format!("Bearer error=\"invalid_token\", error_description=\"{reason}\""))
    }

    /// The endpoint at which it ended, if it came so far.
    pub fn next_hop(&self) -> Option<SocketAddr> {
        match self {
            Self::Overflow { address, .. }
            | Self::Tunnel { address, .. }
            | Self::Connect { address, .. }
            | Self::Broken { address, .. }
            | Self::AnswerBroken { address, .. }
            | Self::BackendTimeout { address, .. } => Some(*address),
            _ => None,
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Waypoint => "waypoint",
            Self::Authorizer => "authorizer",
            Self::Application => "application",
        })
    }
}

/// Before the answer 200 no byte of the application's was sent, so every failure to open a
/// tunnel but our own is worth another endpoint.
fn tunnel_retry_safe(error: &TunnelError) -> bool {
    !matches!(error, TunnelError::Certificate(_) | TunnelError::Request { .. })
}

fn tunnel_proxy_status(error: &TunnelError) -> &'static str {
    match error {
        TunnelError::Connect { source, .. } => match source.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection_refused",
            _ => "destination_ip_unroutable",
        },
        TunnelError::ConnectTimeout { .. } | TunnelError::HandshakeTimeout { .. } => {
            "connection_timeout"
        }
        TunnelError::Tls { .. } | TunnelError::Peer { .. } => "tls_certificate_error",
        TunnelError::Certificate(_) | TunnelError::Request { .. } => "proxy_internal_error",
        TunnelError::Http2 { .. } => "connection_terminated",
        TunnelError::Refused { .. } => "destination_unavailable",
        TunnelError::Unanswered { .. } => "connection_timeout",
        TunnelError::PoolFull { .. } => "connection_limit_reached",
    }
}

#[cfg(test)]
mod tests;
