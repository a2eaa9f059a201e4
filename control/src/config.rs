//! The command line of `control`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::dashboard::options::{Options as Dashboard, OptionsError as DashboardError};
use crate::kubernetes::waypoints::options::Options;
use crate::limits;
use crate::prometheus::Prometheus;
use crate::prometheus::client::Client;
use crate::prometheus::endpoint::Endpoint;

/// The control plane.
#[derive(Debug, Parser)]
#[command(name = "control", version, about = "Ambit's control plane")]
pub struct Cli {
    /// What to do; without it, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub config: Config,
}

/// What to do besides serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a join token: it lets one machine in, once, within an hour.
    Token {
        /// The name of the Node.
        node: String,
    },
}

/// How the control plane serves.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Directory of Kubernetes YAML: every *.yaml and *.yml below it, read again on change.
    #[arg(long, env = "CONTROL_DIRECTORY", default_value = "/etc/ambit/mesh")]
    pub directory: PathBuf,

    /// Read objects from a Kubernetes API server instead of a directory: that of --kubeconfig,
    /// or of the cluster that this runs in.
    #[arg(long, env = "CONTROL_KUBERNETES")]
    pub kubernetes: bool,

    /// How to reach the API server; without it, as a pod does. Used with --kubernetes.
    #[arg(long, env = "CONTROL_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// State directory: root certificate and key, tokens, last good objects, status. Keep it
    /// over restarts, and keep it private.
    #[arg(long, global = true, env = "CONTROL_STATE", default_value = "/var/lib/ambit/control")]
    pub state: PathBuf,

    /// Address of discovery, certificates and the node service (TLS).
    #[arg(long, env = "CONTROL_LISTEN", default_value = "0.0.0.0:15012")]
    pub listen: SocketAddr,

    /// Address of metrics, readiness and status (plain HTTP).
    #[arg(long, env = "CONTROL_ADMIN", default_value_t = admin())]
    pub admin: SocketAddr,

    /// Address of /ready and /metrics for others than this machine (plain HTTP), such as
    /// 0.0.0.0:15014; without it they are asked at --admin only.
    #[arg(long, env = "CONTROL_STATS")]
    pub stats: Option<SocketAddr>,

    /// The dashboards for others than this machine.
    #[command(flatten)]
    #[serde(flatten)]
    pub dashboard: Dashboard,

    /// A host name or address by which proxies call this control plane; may be given several
    /// times. `istiod.istio-system.svc`, `localhost` and 127.0.0.1 are always there.
    #[arg(long = "server-name", env = "CONTROL_SERVER_NAMES", value_delimiter = ',')]
    pub server_names: Vec<String>,

    /// The cluster's id: the first part of every workload's uid.
    #[arg(long, env = "CLUSTER_ID", default_value = "Kubernetes")]
    pub cluster: String,

    /// The network's id; empty for a single network.
    #[arg(long, env = "NETWORK_ID", default_value = "")]
    pub network: String,

    /// Where the control plane and the node proxies belong.
    #[arg(long, env = "SYSTEM_NAMESPACE", default_value = "istio-system")]
    pub system_namespace: String,

    /// The service account in the system namespace of the node proxies: they act for the pods
    /// of their nodes.
    #[arg(long, env = "NODE_ACCOUNT", default_value = "ztunnel")]
    pub node_account: String,

    /// What follows `<service>.<namespace>.svc.` in host names.
    #[arg(long, env = "CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,

    /// Life of a workload certificate that asks for none, such as 24h.
    #[arg(long, env = "DEFAULT_WORKLOAD_CERT_TTL", default_value = "24h", value_parser = duration)]
    pub certificate_life: Duration,

    /// The longest life of a workload certificate; a wish for more is refused.
    #[arg(long, env = "MAX_WORKLOAD_CERT_TTL", default_value = "24h", value_parser = duration)]
    pub max_certificate_life: Duration,

    /// Life of the credentials of nodes and pods, such as 1h.
    #[arg(long, env = "CREDENTIAL_LIFE", default_value = "1h", value_parser = duration)]
    pub credential_life: Duration,

    /// A machine without a node stream for this long is silent: where other instances of a
    /// waypoint are ready, those on it count as not ready.
    #[arg(long, env = "NODE_GRACE", default_value = "30s", value_parser = duration)]
    pub node_grace: Duration,

    /// How waypoints of a cluster are made.
    #[command(flatten)]
    #[serde(flatten)]
    pub waypoints: Options,

    /// A host of jwksUri that may be on this machine or its links, such as a provider beside
    /// control; may be given several times. Keys are fetched from no other such address.
    #[arg(long = "jwks-local-host", env = "CONTROL_JWKS_LOCAL_HOSTS", value_delimiter = ',')]
    pub jwks_local_hosts: Vec<String>,

    /// A Prometheus that scrapes the proxies, such as http://prometheus.monitoring:9090: pages ask
    /// it for what is older than what the proxies remember.
    #[arg(long, env = "PROMETHEUS_URL", value_name = "URL")]
    pub prometheus_url: Option<String>,

    /// A file with the bearer token for that Prometheus; it is read for each question.
    #[arg(long, env = "PROMETHEUS_TOKEN_FILE", value_name = "FILE")]
    pub prometheus_token_file: Option<PathBuf>,

    /// The narrowest step that it is asked for: at least twice the interval at which it scrapes.
    #[arg(long, env = "PROMETHEUS_STEP", default_value = "2m", value_parser = duration)]
    pub prometheus_step: Duration,

    /// A discovery stream is ended at this age; the proxy comes back with what it holds.
    #[arg(long, env = "MAX_STREAM_AGE", default_value = "30m", value_parser = duration)]
    pub max_stream_age: Duration,

    /// A subscriber that neither accepts nor rejects a response for this long is cut; it
    /// resyncs when it comes back.
    #[arg(long, env = "SUBSCRIBER_PATIENCE", default_value = "60s", value_parser = duration)]
    pub subscriber_patience: Duration,
}

/// Beside the ports of the node's programs: 15014 is the node agent's.
fn admin() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15016)
}

/// Why a configuration cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A certificate that asks for none would be refused.
    #[error("--certificate-life is longer than --max-certificate-life; raise the latter")]
    Lives,
    /// Where no Prometheus can be.
    #[error("--prometheus-url {0}")]
    Prometheus(String),
    /// A name that no certificate or identity can have.
    #[error("{flag} is {found:?}; write a-z, 0-9, '-' and '.'")]
    Name {
        /// The flag.
        flag: &'static str,
        /// What was given.
        found: String,
    },
    /// What would be served beyond this machine.
    #[error(transparent)]
    Dashboard(#[from] DashboardError),
}

impl Config {
    /// The configuration for a directory and a state directory, everything else as by default.
    pub fn new(directory: PathBuf, state: PathBuf) -> Self {
        let hour = Duration::from_hours(1);
        Self {
            directory,
            kubernetes: false,
            kubeconfig: None,
            state,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 15012),
            admin: admin(),
            stats: None,
            dashboard: Dashboard::default(),
            server_names: Vec::new(),
            cluster: "Kubernetes".to_owned(),
            network: String::new(),
            system_namespace: "istio-system".to_owned(),
            node_account: "ztunnel".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            certificate_life: 24 * hour,
            max_certificate_life: 24 * hour,
            credential_life: hour,
            waypoints: Options::default(),
            node_grace: limits::NODE_GRACE,
            jwks_local_hosts: Vec::new(),
            prometheus_url: None,
            prometheus_token_file: None,
            prometheus_step: hour / 30,
            max_stream_age: hour / 2,
            subscriber_patience: hour / 60,
        }
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.certificate_life > self.max_certificate_life {
            return Err(ConfigError::Lives);
        }
        self.prometheus()?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
        for (flag, name) in [
            ("--system-namespace", &self.system_namespace),
            ("--node-account", &self.node_account),
            ("--cluster-domain", &self.cluster_domain),
        ] {
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(ConfigError::Name { flag, found: name.clone() });
            }
        }
        self.dashboard.plan(self.kubernetes)?;
        Ok(())
    }

    /// The Prometheus that was named, if one was; the empty text names none.
    ///
    /// # Errors
    /// If it cannot be one.
    pub fn prometheus(&self) -> Result<Option<Prometheus>, ConfigError> {
        let Some(url) = self.prometheus_url.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let endpoint = Endpoint::parse(url).map_err(ConfigError::Prometheus)?;
        let token = self.prometheus_token_file.clone().filter(|path| !path.as_os_str().is_empty());
        Ok(Some(Prometheus::new(Client::new(endpoint, token), self.prometheus_step)))
    }

    /// Every name that the listener's certificate holds.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![
            format!("istiod.{}.svc", self.system_namespace),
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
        ];
        if !self.listen.ip().is_unspecified() {
            names.push(self.listen.ip().to_string());
        }
        names.extend(self.server_names.iter().cloned());
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

/// A duration: digits and one of s, m, h, d.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write such as 90s, 30m, 24h or 7d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    let seconds = number.checked_mul(seconds).filter(|s| (1..=10 * 365 * 86_400).contains(s));
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
