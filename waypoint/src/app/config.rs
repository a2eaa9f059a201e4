//! What the environment says, read once.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hbone::identity::{SpiffeId, TrustDomain};
use hbone::tunnel::{HBONE_PORT, TunnelConfig};
use observe::ring::RingSettings;

/// Everything that can be set about a waypoint.
#[derive(Clone, Debug)]
pub struct Config {
    /// The waypoint's own identity. `TRUST_DOMAIN` (default `cluster.local`),
    /// `POD_NAMESPACE` (no default) and `SERVICE_ACCOUNT` (default: the Gateway's name).
    pub identity: SpiffeId,
    /// Name of the Gateway that it serves, in its own namespace. `GATEWAY_NAME`, default: the
    /// service account.
    pub gateway: String,
    /// Name of its own pod. `POD_NAME`, default: the Gateway's name.
    pub pod_name: String,
    /// Its address. `INSTANCE_IP`, default none; it gives the locality for endpoint choice.
    pub instance_ip: Option<IpAddr>,
    /// Its node. `NODE_NAME`, default empty.
    pub node: String,
    /// Cluster id. `CLUSTER_ID`, default `Kubernetes`.
    pub cluster: String,
    /// DNS suffix of the cluster. `CLUSTER_DOMAIN`, default `cluster.local`.
    pub cluster_domain: String,
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
    /// Token file, or the token itself. `AUTH_TOKEN`.
    pub auth_token: String,
    /// Requested life of certificates, in seconds on the wire. `SECRET_TTL`, such as `24h` or
    /// `90s`, default 24 h.
    pub secret_ttl: Duration,
    /// How tunnels are carried.
    pub tunnel: TunnelConfig,
    /// Threads of the data path. `WAYPOINT_WORKER_THREADS`, 1 to 256, default 2.
    pub worker_threads: usize,
    /// How long open requests may go on after SIGTERM.
    /// `CONNECTION_TERMINATION_DEADLINE`, such as `5s`; default 5 s.
    pub drain_deadline: Duration,
    /// Where HBONE is served. `HBONE_ADDR`, default `[::]:15008`.
    pub hbone: SocketAddr,
    /// Where the admin pages are: loopback only. `ADMIN_ADDR`, default `127.0.0.1:15000`.
    pub admin: SocketAddr,
    /// Where the metrics are. `STATS_ADDR`, default `[::]:15020`.
    pub stats: SocketAddr,
    /// Where readiness is asked. `READINESS_ADDR`, default `[::]:15021`.
    pub readiness: SocketAddr,
    /// Where it is kept what happened, and how many bytes it may have there. `OBSERVE_DIR`,
    /// default nowhere: then only what happens now can be asked for; `OBSERVE_LIMIT_MIB`, 8 to
    /// 4,096, default 48.
    pub ring: RingSettings,
}

/// A variable whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {found:?}; write {expected}")]
pub struct ConfigError {
    variable: &'static str,
    found: String,
    expected: &'static str,
}

impl Config {
    /// Reads the variables of the process.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads the variables that `lookup` knows.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let optional = |variable: &str| lookup(variable).filter(|value| !value.is_empty());
        let text = |variable: &str, default: &str| {
            optional(variable).unwrap_or_else(|| default.to_owned())
        };
        let any = |port| SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let address = |variable, default| {
            read(&optional, variable, "IP:port, such as 127.0.0.1:15000", default, |t| {
                t.parse().ok()
            })
        };
        let time = |variable, default| {
            read(&optional, variable, "a duration such as 90s, 30m or 24h", default, duration)
        };
        let namespace = text("POD_NAMESPACE", "");
        let account =
            optional("SERVICE_ACCOUNT").or_else(|| optional("GATEWAY_NAME")).unwrap_or_default();
        let gateway = text("GATEWAY_NAME", &account);
        let root = "./var/run/secrets/istio/root-cert.pem";
        let servers = "https://istiod.istio-system.svc:15012";
        let token = "./var/run/secrets/tokens/istio-token";
        let token = if std::path::Path::new(token).exists() { token } else { "" };
        let windows = TunnelConfig::from_env(&lookup).map_err(|error| ConfigError {
            variable: "HTTP2_STREAM_WINDOW_SIZE and its like",
            found: error.to_string(),
            expected: "numbers in their ranges",
        })?;
        Ok(Self {
            identity: identity(&text("TRUST_DOMAIN", "cluster.local"), &namespace, &account)?,
            pod_name: text("POD_NAME", &gateway),
            gateway,
            instance_ip: read(&optional, "INSTANCE_IP", "an IP address", None, |t| {
                t.parse().ok().map(Some)
            })?,
            node: text("NODE_NAME", ""),
            cluster: optional("ISTIO_META_CLUSTER_ID")
                .unwrap_or_else(|| text("CLUSTER_ID", "Kubernetes")),
            cluster_domain: text("CLUSTER_DOMAIN", "cluster.local"),
            xds_address: text("XDS_ADDRESS", servers),
            ca_address: text("CA_ADDRESS", servers),
            alt_xds_hostname: optional("ALT_XDS_HOSTNAME"),
            alt_ca_hostname: optional("ALT_CA_HOSTNAME"),
            xds_root_ca: text("XDS_ROOT_CA", root),
            ca_root_ca: text("CA_ROOT_CA", root),
            auth_token: text("AUTH_TOKEN", token),
            secret_ttl: time("SECRET_TTL", Duration::from_hours(24))?,
            tunnel: windows,
            worker_threads: read(
                &optional,
                "WAYPOINT_WORKER_THREADS",
                "a number from 1 to 256",
                2,
                |t| t.parse().ok().filter(|n| (1..=256).contains(n)),
            )?,
            drain_deadline: time("CONNECTION_TERMINATION_DEADLINE", Duration::from_secs(5))?,
            hbone: address("HBONE_ADDR", any(HBONE_PORT))?,
            admin: address("ADMIN_ADDR", SocketAddr::from(([127, 0, 0, 1], 15000)))?,
            stats: address("STATS_ADDR", any(15020))?,
            readiness: address("READINESS_ADDR", any(15021))?,
            ring: RingSettings {
                directory: optional("OBSERVE_DIR").map(PathBuf::from),
                limit: read(
                    &optional,
                    "OBSERVE_LIMIT_MIB",
                    "MiB from 8 to 4096",
                    RingSettings::LIMIT,
                    |t| {
                        t.parse()
                            .ok()
                            .filter(|mib| (8..=4096).contains(mib))
                            .map(|mib: u64| mib << 20)
                    },
                )?,
            },
        })
    }
}

fn read<T>(
    lookup: &impl Fn(&str) -> Option<String>,
    variable: &'static str,
    expected: &'static str,
    default: T,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, ConfigError> {
    let Some(found) = lookup(variable) else { return Ok(default) };
    parse(&found).ok_or(ConfigError { variable, found, expected })
}

fn identity(domain: &str, namespace: &str, account: &str) -> Result<SpiffeId, ConfigError> {
    let found = || format!("{domain}/ns/{namespace}/sa/{account}");
    let wrong = |variable, expected| ConfigError { variable, found: found(), expected };
    let domain = TrustDomain::new(domain).map_err(|_| wrong("TRUST_DOMAIN", "a trust domain"))?;
    if account.is_empty() {
        return Err(wrong("SERVICE_ACCOUNT", "the waypoint's service account"));
    }
    SpiffeId::new(domain, namespace, account)
        .map_err(|_| wrong("POD_NAMESPACE", "the namespace of the waypoint's pod"))
}

/// `90s`, `30m`, `24h`, or `500ms`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
