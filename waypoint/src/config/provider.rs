//! External authorizers.

use std::sync::Arc;
use std::time::Duration;

use hbone::wire::address::NamespacedHostname;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::StatusCode;

use super::object::ObjectName;
use super::route::duration;
use super::service_name;

/// Deadline of a check whose provider names none; the contract's deviation, not Envoy's 200 ms.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);

/// Longest body that a provider may ask for, in bytes.
pub const MAX_BODY: u32 = 4 * 1024 * 1024;

/// An authorizer of the mesh configuration, compiled.
#[derive(Debug)]
pub struct Provider {
    /// The object.
    pub object: ObjectName,
    /// How to call it, or why it cannot be called.
    pub call: Result<ProviderCall, String>,
}

/// How to call an authorizer over gRPC.
#[derive(Clone, Debug)]
pub struct ProviderCall {
    /// Its service.
    pub service: NamespacedHostname,
    /// The service port.
    pub port: u16,
    /// Deadline of a check.
    pub timeout: Duration,
    /// Forward when the authorizer fails.
    pub fail_open: bool,
    /// Answer when the authorizer fails.
    pub status_on_error: StatusCode,
    /// Send the beginning of the body.
    pub body: Option<BodyCheck>,
}

/// How much of the body a check sees.
#[derive(Clone, Copy, Debug)]
pub struct BodyCheck {
    /// Bytes, at most [`MAX_BODY`].
    pub max: usize,
    /// Cut a longer body; else it is answered 413.
    pub allow_partial: bool,
    /// Send as bytes and not as text.
    pub as_bytes: bool,
}

impl Provider {
    /// Compiles a provider; one that cannot be used is kept with the reason.
    pub fn compile(wire: &pb::Provider) -> Self {
        Self { object: ObjectName::from_wire(wire.object.as_ref()), call: call(wire) }
    }

    /// The name that policies use.
    pub fn name(&self) -> &Arc<str> {
        &self.object.name
    }
}

fn call(wire: &pb::Provider) -> Result<ProviderCall, String> {
    if !wire.invalid.is_empty() {
        return Err(wire.invalid.clone());
    }
    let service = wire.service.as_ref().ok_or("the provider names no service")?;
    let port = u16::try_from(wire.port).ok().filter(|port| *port != 0);
    let status = if wire.status_on_error == 0 { 403 } else { wire.status_on_error };
    let status = u16::try_from(status).ok().and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|s| s.is_client_error() || s.is_server_error());
    if wire.max_request_bytes > MAX_BODY {
        return Err(format!("maxRequestBytes {} is above {MAX_BODY}", wire.max_request_bytes));
    }
    Ok(ProviderCall {
        service: service_name(service),
        port: port.ok_or_else(|| format!("{} is no port", wire.port))?,
        timeout: wire.timeout.as_ref().and_then(duration).unwrap_or(DEFAULT_TIMEOUT),
        fail_open: wire.fail_open,
        status_on_error: status
            .ok_or_else(|| format!("statusOnError {} is no error status", wire.status_on_error))?,
        body: (wire.max_request_bytes > 0).then_some(BodyCheck {
            max: wire.max_request_bytes as usize,
            allow_partial: wire.allow_partial_message,
            as_bytes: wire.pack_as_bytes,
        }),
    })
}

#[cfg(test)]
mod tests;
