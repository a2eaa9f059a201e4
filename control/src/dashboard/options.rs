//! The flags, and what of them can be served.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

/// The audience of tokens for the dashboards, unless somebody says otherwise.
pub const AUDIENCE: &str = "ambit-dashboard";

/// How the dashboards are served beyond this machine. All have one prefix, so the fields too.
#[derive(Clone, Debug, Args, Serialize)]
#[group(id = "dashboard")]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// Address of the dashboards and their API for others than this machine (HTTPS), such as
    /// 0.0.0.0:15018; without it they are at --admin only.
    #[arg(long, env = "DASHBOARD_LISTEN", value_name = "ADDRESS")]
    pub dashboard_listen: Option<SocketAddr>,

    /// The certificate to serve them with, then its intermediates, PEM; read again when it
    /// changes. Used with --dashboard-listen, as all of these.
    #[arg(long, env = "DASHBOARD_CERTIFICATE", value_name = "FILE")]
    pub dashboard_certificate: Option<PathBuf>,

    /// Its key, PEM.
    #[arg(long, env = "DASHBOARD_KEY", value_name = "FILE")]
    pub dashboard_key: Option<PathBuf>,

    /// Authorities of readers, PEM: whoever has a client certificate of theirs may read
    /// everything. Needed, unless tokens are taken.
    #[arg(long, env = "DASHBOARD_CLIENT_CA", value_name = "FILE")]
    pub dashboard_client_ca: Option<PathBuf>,

    /// Take tokens that the API server accepts, from who may `get` the page's path there. Used
    /// with --kubernetes.
    #[arg(long, env = "DASHBOARD_TOKENS")]
    pub dashboard_tokens: bool,

    /// An audience of such tokens; may be given several times.
    #[arg(
        long = "dashboard-audience",
        env = "DASHBOARD_AUDIENCES",
        value_delimiter = ',',
        value_name = "AUDIENCE",
        default_value = AUDIENCE
    )]
    pub dashboard_audiences: Vec<String>,

    /// A Service of the system namespace, without selector: it leads to the replica that
    /// answers for the mesh. Used with --kubernetes; the pod's addresses come from `POD_IPS`.
    #[arg(long, env = "DASHBOARD_SERVICE", value_name = "NAME", default_value = "")]
    pub dashboard_service: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dashboard_listen: None,
            dashboard_certificate: None,
            dashboard_key: None,
            dashboard_client_ca: None,
            dashboard_tokens: false,
            dashboard_audiences: vec![AUDIENCE.to_owned()],
            dashboard_service: String::new(),
        }
    }
}

/// Why the dashboards are not served as the flags say. Then nothing is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// It would do nothing, and its author believes otherwise.
    #[error("{0} does nothing without --dashboard-listen; give an address such as 0.0.0.0:15018")]
    NoListener(&'static str),
    /// No TLS.
    #[error(
        "--dashboard-listen needs {0}; beyond this machine the dashboards are served by TLS only"
    )]
    NoTls(&'static str),
    /// Everybody would be let in.
    #[error(
        "--dashboard-listen needs --dashboard-client-ca or --dashboard-tokens; nobody reads the \
         dashboards from elsewhere without proving who he is"
    )]
    NoProof,
    /// Nobody is there to ask.
    #[error("{0} needs --kubernetes: {1}")]
    NoCluster(&'static str, &'static str),
    /// Then tokens for anybody would do.
    #[error("--dashboard-audience is empty; write one such as ambit-dashboard, or leave it out")]
    NoAudience,
}

/// What is served, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where.
    pub listen: SocketAddr,
    /// File of the certificate.
    pub certificate: PathBuf,
    /// File of its key.
    pub key: PathBuf,
    /// File of the authorities of readers.
    pub client_ca: Option<PathBuf>,
    /// Audiences of tokens, if those are taken.
    pub audiences: Option<Vec<String>>,
    /// The Service that leads to the replica that answers.
    pub service: Option<String>,
}

impl Options {
    /// What they say, for a source that is an API server or none; None if nothing is served.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn plan(&self, kubernetes: bool) -> Result<Option<Plan>, OptionsError> {
        let Some(listen) = self.dashboard_listen else {
            return self.first_given().map_or(Ok(None), |flag| Err(OptionsError::NoListener(flag)));
        };
        let needed = |file: &Option<PathBuf>, flag| file.clone().ok_or(OptionsError::NoTls(flag));
        let certificate = needed(&self.dashboard_certificate, "--dashboard-certificate")?;
        let key = needed(&self.dashboard_key, "--dashboard-key")?;
        if self.dashboard_client_ca.is_none() && !self.dashboard_tokens {
            return Err(OptionsError::NoProof);
        }
        let service = Some(self.dashboard_service.clone()).filter(|name| !name.is_empty());
        if self.dashboard_tokens && !kubernetes {
            let why = "its API server reviews the tokens";
            return Err(OptionsError::NoCluster("--dashboard-tokens", why));
        }
        if service.is_some() && !kubernetes {
            let why = "the Service is there";
            return Err(OptionsError::NoCluster("--dashboard-service", why));
        }
        let empty = self.dashboard_audiences.iter().any(|audience| audience.trim().is_empty());
        if self.dashboard_tokens && (empty || self.dashboard_audiences.is_empty()) {
            return Err(OptionsError::NoAudience);
        }
        let client_ca = self.dashboard_client_ca.clone();
        let audiences = self.dashboard_tokens.then(|| self.dashboard_audiences.clone());
        Ok(Some(Plan { listen, certificate, key, client_ca, audiences, service }))
    }

    fn first_given(&self) -> Option<&'static str> {
        let given = [
            (self.dashboard_certificate.is_some(), "--dashboard-certificate"),
            (self.dashboard_key.is_some(), "--dashboard-key"),
            (self.dashboard_client_ca.is_some(), "--dashboard-client-ca"),
            (self.dashboard_tokens, "--dashboard-tokens"),
            (self.dashboard_audiences != [AUDIENCE], "--dashboard-audience"),
            (!self.dashboard_service.is_empty(), "--dashboard-service"),
        ];
        given.into_iter().find_map(|(given, flag)| given.then_some(flag))
    }
}

#[cfg(test)]
mod tests;
