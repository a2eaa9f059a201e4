//! What the environment says, read once (docs/wire.md, "Environment of a node proxy").

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hbone::identity::TrustDomain;
use hbone::tunnel::TunnelConfig;
use observe::ring::RingSettings;
use socket2::TcpKeepalive;

use crate::sockets::SocketOptions;
use crate::state::Place;

/// Everything that can be set about a ztunnel.
#[derive(Clone, Debug)]
pub struct Config {
    /// `NODE_NAME`, `NETWORK` and `CLUSTER_ID`.
    pub place: Place,
    /// Trust domain of the proxy's own identity. `TRUST_DOMAIN`, default `cluster.local`.
    pub trust_domain: TrustDomain,
    /// DNS suffix of the cluster. `CLUSTER_DOMAIN`, default `cluster.local`.
    pub cluster_domain: String,
    /// Name of the proxy's own pod. `POD_NAME`, default `ztunnel`.
    pub pod_name: String,
    /// Its namespace. `POD_NAMESPACE`, default `istio-system`.
    pub pod_namespace: String,
    /// Its address. `INSTANCE_IP`, default none.
    pub instance_ip: Option<IpAddr>,
    /// Its service account. `SERVICE_ACCOUNT`, default `ztunnel`.
    pub service_account: String,
    /// Socket of the node agent. `INPOD_UDS`, default `/var/run/ztunnel/ztunnel.sock`.
    pub agent_socket: PathBuf,
    /// Servers of discovery, comma-separated. `XDS_ADDRESS`.
    pub xds_address: String,
    /// Servers of certificates, comma-separated. `CA_ADDRESS`.
    pub ca_address: String,
    /// A name that the discovery server may bear instead. `ALT_XDS_HOSTNAME`.
    pub alt_xds_hostname: Option<String>,
    /// A name that the certificate server may bear instead. `ALT_CA_HOSTNAME`.
    pub alt_ca_hostname: Option<String>,
    /// What the discovery server's certificate chains to. `XDS_ROOT_CA`, path or PEM.
    pub xds_root_ca: String,
    /// What the certificate server's certificate chains to. `CA_ROOT_CA`, path or PEM.
    pub ca_root_ca: String,
    /// Token file, or the token itself. `AUTH_TOKEN`, default the file
    /// [`Config::TOKEN_FILE`] if it is there, else no token.
    pub auth_token: Option<String>,
    /// A file with static state instead of discovery. `LOCAL_XDS_PATH`.
    pub local_xds_path: Option<PathBuf>,
    /// Requested life of certificates. `SECRET_TTL`, such as `24h` or `90s`, default 24 h.
    pub secret_ttl: Duration,
    /// Options of every socket in a pod.
    pub sockets: SocketOptions,
    /// How tunnels are carried.
    pub tunnel: Arc<TunnelConfig>,
    /// Open connections that one pod may have, all directions together. Beyond it new ones
    /// are reset. `AMBIT_POD_MAX_CONNECTIONS`, 1 to 1,000,000, default 50,000.
    pub pod_connections: u32,
    /// TLS handshakes that one pod may have under way as a server; more wait in the kernel.
    /// `AMBIT_POD_MAX_HANDSHAKES`, 1 to 65,535, default 256.
    pub pod_handshakes: u32,
    /// TLS handshakes that one address may have under way with one pod; further connections
    /// of it are reset, so that a client that stalls keeps nobody else out.
    /// `AMBIT_SOURCE_MAX_HANDSHAKES`, 1 to 65,535, default 64.
    pub source_handshakes: u32,
    /// Threads of the data path. `ZTUNNEL_WORKER_THREADS`, 1 to 256, default the smaller of
    /// 2 and the processors.
    pub worker_threads: usize,
    /// How long open connections may go on after SIGTERM.
    /// `CONNECTION_TERMINATION_DEADLINE`, such as `5s`; default 5 s.
    pub drain_deadline: Duration,
    /// Where the admin pages are: loopback only. `ADMIN_ADDR`, default `127.0.0.1:15000`.
    pub admin: SocketAddr,
    /// Where the metrics are. `STATS_ADDR`, default `[::]:15020`.
    pub stats: SocketAddr,
    /// Where readiness is asked. `READINESS_ADDR`, default `[::]:15021`.
    pub readiness: SocketAddr,
    /// Where it is kept what happened. `OBSERVE_DIR`, default nowhere: then only what happens
    /// now can be asked for.
    pub observe_directory: Option<PathBuf>,
    /// Bytes that it may have there. `OBSERVE_LIMIT_MIB`, 8 to 4,096, default 48.
    pub observe_limit: u64,
}

/// A variable whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {found:?}; write {expected}")]
pub struct ConfigError {
    variable: &'static str,
    found: String,
    expected: &'static str,
}

/// The environment, or what a test has in its place.
struct Env<F>(F);

impl<F: Fn(&str) -> Option<String>> Env<F> {
    fn text(&self, variable: &'static str, default: &str) -> String {
        (self.0)(variable).unwrap_or_else(|| default.to_owned())
    }

    fn optional(&self, variable: &'static str) -> Option<String> {
        (self.0)(variable).filter(|v| !v.is_empty())
    }

    fn parse<T>(
        &self,
        variable: &'static str,
        expected: &'static str,
        default: T,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let Some(found) = self.optional(variable) else { return Ok(default) };
        read(&found).ok_or(ConfigError { variable, found, expected })
    }

    fn number(
        &self,
        variable: &'static str,
        expected: &'static str,
        (min, max): (u32, u32),
        default: u32,
    ) -> Result<u32, ConfigError> {
        let within = |text: &str| text.parse().ok().filter(|n| (min..=max).contains(n));
        self.parse(variable, expected, default, within)
    }

    fn duration(&self, variable: &'static str, default: Duration) -> Result<Duration, ConfigError> {
        self.parse(variable, "a duration such as 90s, 30m or 24h", default, duration)
    }

    fn address(
        &self,
        variable: &'static str,
        default: SocketAddr,
    ) -> Result<SocketAddr, ConfigError> {
        self.parse(variable, "IP:port, such as 127.0.0.1:15000", default, |t| t.parse().ok())
    }

    fn switch(&self, variable: &'static str, default: bool) -> Result<bool, ConfigError> {
        self.parse(variable, "true or false", default, |t| t.parse().ok())
    }
}

impl Config {
    /// Where Kubernetes puts the proxy's own token.
    pub const TOKEN_FILE: &str = "./var/run/secrets/tokens/istio-token";

    /// Reads the variables of the process.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads the variables that `lookup` knows.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let env = Env(&lookup);
        let control = "https://istiod.istio-system.svc:15012";
        let root = "./var/run/secrets/istio/root-cert.pem";
        let any = |port| SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), port);
        let trust_domain = env.text("TRUST_DOMAIN", "cluster.local");
        let trust_domain = TrustDomain::new(&trust_domain).map_err(|_| ConfigError {
            variable: "TRUST_DOMAIN",
            found: trust_domain,
            expected: "a trust domain such as cluster.local",
        })?;
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = env.number(
            "ZTUNNEL_WORKER_THREADS",
            "a number from 1 to 256",
            (1, 256),
            processors.min(2) as u32,
        )?;
        let ip = env.parse("INSTANCE_IP", "an IP address", None, |t| t.parse().ok().map(Some))?;
        Ok(Self {
            place: place(&env),
            trust_domain,
            cluster_domain: env.text("CLUSTER_DOMAIN", "cluster.local"),
            pod_name: env.text("POD_NAME", "ztunnel"),
            pod_namespace: env.text("POD_NAMESPACE", "istio-system"),
            instance_ip: ip,
            service_account: env.text("SERVICE_ACCOUNT", "ztunnel"),
            agent_socket: env.text("INPOD_UDS", "/var/run/ztunnel/ztunnel.sock").into(),
            xds_address: env.text("XDS_ADDRESS", control),
            ca_address: env.text("CA_ADDRESS", control),
            alt_xds_hostname: env.optional("ALT_XDS_HOSTNAME"),
            alt_ca_hostname: env.optional("ALT_CA_HOSTNAME"),
            xds_root_ca: env.text("XDS_ROOT_CA", root),
            ca_root_ca: env.text("CA_ROOT_CA", root),
            auth_token: env.optional("AUTH_TOKEN"),
            local_xds_path: env.optional("LOCAL_XDS_PATH").map(PathBuf::from),
            secret_ttl: env.duration("SECRET_TTL", Duration::from_hours(24))?,
            sockets: socket_options(&env)?,
            tunnel: Arc::new(tunnel(&lookup)?),
            pod_connections: env.number(
                "AMBIT_POD_MAX_CONNECTIONS",
                "a number from 1 to 1000000",
                (1, 1_000_000),
                50_000,
            )?,
            pod_handshakes: env.number(
                "AMBIT_POD_MAX_HANDSHAKES",
                "a number from 1 to 65535",
                (1, 65_535),
                256,
            )?,
            source_handshakes: env.number(
                "AMBIT_SOURCE_MAX_HANDSHAKES",
                "a number from 1 to 65535",
                (1, 65_535),
                64,
            )?,
            worker_threads: threads as usize,
            drain_deadline: env
                .duration("CONNECTION_TERMINATION_DEADLINE", Duration::from_secs(5))?,
            admin: env.address("ADMIN_ADDR", (Ipv4Addr::LOCALHOST, 15000).into())?,
            stats: env.address("STATS_ADDR", any(15020))?,
            readiness: env.address("READINESS_ADDR", any(15021))?,
            observe_directory: env.optional("OBSERVE_DIR").map(PathBuf::from),
            observe_limit: u64::from(env.number(
                "OBSERVE_LIMIT_MIB",
                "MiB from 8 to 4096",
                (8, 4096),
                (RingSettings::LIMIT >> 20) as u32,
            )?) << 20,
        })
    }
}

fn place<F: Fn(&str) -> Option<String>>(env: &Env<F>) -> Place {
    // The more specific name wins.
    let cluster = env
        .optional("ISTIO_META_CLUSTER_ID")
        .unwrap_or_else(|| env.text("CLUSTER_ID", "Kubernetes"));
    Place {
        node: env.text("NODE_NAME", "").into(),
        network: env.text("NETWORK", "").into(),
        cluster: cluster.into(),
    }
}

fn socket_options<F: Fn(&str) -> Option<String>>(
    env: &Env<F>,
) -> Result<SocketOptions, ConfigError> {
    let day = 86_400;
    let seconds = |variable| env.number(variable, "seconds from 1 to 86400", (1, day), 180);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(seconds("KEEPALIVE_TIME")?.into()))
        .with_interval(Duration::from_secs(seconds("KEEPALIVE_INTERVAL")?.into()))
        .with_retries(env.number("KEEPALIVE_RETRIES", "a number from 1 to 127", (1, 127), 9)?);
    let enabled = env.switch("KEEPALIVE_ENABLED", true)?;
    Ok(SocketOptions {
        mark: env.number("PACKET_MARK", "a mark from 1 to 4095", (1, 4095), 1337)?,
        ipv6: env.switch("IPV6_ENABLED", true)?,
        keepalive: enabled.then_some(keepalive),
    })
}

fn tunnel(lookup: &impl Fn(&str) -> Option<String>) -> Result<TunnelConfig, ConfigError> {
    TunnelConfig::from_env(lookup).map_err(|e| ConfigError {
        variable: e.variable(),
        found: e.found().to_owned(),
        expected: "a whole number in its range; see docs/wire.md, \"HTTP/2\"",
    })
}

/// `90s`, `30m`, `24h`, `500ms`.
fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

#[cfg(test)]
mod tests;
