//! The way to the control plane: gRPC over TLS, to whichever server address answers.
//!
//! Two services use it, discovery ([`crate::xds`]) and the certificate authority
//! ([`crate::ca`]), each with a connection of its own (docs/wire.md, "Discovery").

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use self::cut::Cuttable;

mod address;
mod credentials;
mod cut;
mod dial;
#[cfg(test)]
pub(crate) mod fake;
mod roots;

pub use address::{AddressError, ServerUrl};
pub use credentials::{CredentialError, Credentials, Token};
pub use dial::DialError;
pub use roots::{Roots, RootsError};

/// A connection whose every call carries the caller's token and cluster.
pub type AuthorizedChannel = InterceptedService<Channel, Credentials>;

/// How often an HTTP/2 PING asks whether the server still lives.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long the answer to such a PING may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of one answer in flight: a first state may be tens of megabytes.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;

/// Where the control plane is and how both sides prove who they are.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// Servers in order of preference, at least one. `XDS_ADDRESS` or `CA_ADDRESS`.
    pub servers: Vec<ServerUrl>,
    /// Name that a server may bear instead of its URL's host. `ALT_XDS_HOSTNAME` or
    /// `ALT_CA_HOSTNAME`, default none.
    pub alternative_hostname: Option<String>,
    /// What the server's certificate must chain to. `XDS_ROOT_CA` or `CA_ROOT_CA`.
    pub roots: Roots,
    /// The caller's token and cluster, sent with every call.
    pub credentials: Credentials,
    /// TCP and TLS to one address together, default 10 s.
    pub connect_timeout: Duration,
}

impl ChannelConfig {
    /// Default of [`ChannelConfig::connect_timeout`].
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
}

/// A client's view of the control plane: opens connections, one server address after another.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    config: Arc<ChannelConfig>,
    /// Counts the servers that were given up, so that the next attempt starts with another.
    first: Arc<AtomicUsize>,
}

/// Why no connection to the control plane can be had.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// No server was named.
    #[error(
        "no control plane server is named; set XDS_ADDRESS and CA_ADDRESS, such as https://host:15012"
    )]
    NoServer,
    /// Nothing to verify a server with: the client refuses to start.
    #[error("the control plane cannot be verified")]
    Roots(#[from] RootsError),
    /// No server could be reached; the chain says why for the last one tried.
    #[error("no connection to {servers}: {reason}")]
    Connect {
        /// The servers tried.
        servers: String,
        /// The whole chain of causes in one line.
        reason: String,
    },
}

impl ControlPlane {
    /// Checks that there is a server and that the roots can be read: without roots no server
    /// could be told from an impostor, so the client does not start.
    pub fn new(config: ChannelConfig) -> Result<Self, ChannelError> {
        if config.servers.is_empty() {
            return Err(ChannelError::NoServer);
        }
        config.roots.read()?;
        Ok(Self { config: Arc::new(config), first: Arc::default() })
    }

    /// Opens a new connection to the first address that answers, and verifies the server.
    ///
    /// Roots are read again for each connection, the token for each call. A connection that
    /// breaks later is opened again by the channel at the next call.
    ///
    /// # Errors
    /// [`ChannelError::Connect`] after every address of every server was tried once.
    ///
    /// Cancel safe.
    pub async fn connect(&self) -> Result<AuthorizedChannel, ChannelError> {
        self.connect_until(CancellationToken::new()).await
    }

    /// The same, for as long as `cut` is not cancelled: then its connections are closed, with
    /// whatever is still to be sent on them.
    ///
    /// # Errors
    /// As [`ControlPlane::connect`].
    ///
    /// Cancel safe.
    pub async fn connect_until(
        &self,
        cut: CancellationToken,
    ) -> Result<AuthorizedChannel, ChannelError> {
        let dialler = self.clone();
        let connector = service_fn(move |_| {
            let (dialler, cut) = (dialler.clone(), cut.clone());
            async move { dialler.dial().await.map(|tls| TokioIo::new(Cuttable::new(tls, cut))) }
        });
        let failed = |error: tonic::transport::Error| ChannelError::Connect {
            servers: self.servers(),
            reason: chain(&error),
        };
        let channel = self
            .endpoint()
            .map_err(failed)?
            .connect_with_connector(connector)
            .await
            .map_err(failed)?;
        Ok(InterceptedService::new(channel, self.config.credentials.clone()))
    }

    /// Gives up the server address that the last connection used: it accepts but does not
    /// answer. The next connection starts with the address after it.
    pub fn give_up_address(&self) {
        self.first.fetch_add(1, Ordering::Relaxed);
    }

    /// The servers as text for logs and errors.
    pub fn servers(&self) -> String {
        let names: Vec<String> = self.config.servers.iter().map(ToString::to_string).collect();
        names.join(", ")
    }

    async fn dial(&self) -> Result<dial::Connection, DialError> {
        dial::first_that_answers(&self.config, self.first.load(Ordering::Relaxed)).await
    }

    /// The URL is plain because TLS is the connector's work; `origin` gives the peer the real one.
    fn endpoint(&self) -> Result<Endpoint, tonic::transport::Error> {
        let authority = self.config.servers.first().map(ServerUrl::authority).unwrap_or_default();
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))?
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        match http::Uri::try_from(format!("https://{authority}")) {
            Ok(origin) => Ok(endpoint.origin(origin)),
            Err(_) => Ok(endpoint),
        }
    }
}

/// An error and its causes in one line: `a: b: c`, each said once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
