//! What runs outside the cluster: ServiceEntry and WorkloadEntry, checked.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::object::{Key, Map, Meta, boolean};

/// The label that keeps a ServiceEntry from getting addresses.
const ALLOCATE: &str = "networking.istio.io/enable-autoallocate-ip";

/// Host names, and who serves them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceEntry {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// DNS names in lower case, each once; `*.x` is every name below `x`.
    pub hosts: Vec<String>,
    /// Addresses and blocks of all hosts, as their author wrote them.
    pub addresses: Vec<IpNet>,
    /// TCP ports.
    pub ports: Vec<EntryPort>,
    /// How endpoints are found.
    pub resolution: Resolution,
    /// Who serves it.
    pub endpoints: Vec<Endpoint>,
    /// Pods and WorkloadEntries of the namespace that serve it. Never together with endpoints.
    pub selector: Option<Map>,
    /// Who sees it.
    pub visibility: Visibility,
    /// SPIFFE identities that its endpoints may have beside their own.
    pub subject_alt_names: Vec<String>,
    /// Addresses that its hosts were given, as the API server has them.
    pub given: Given,
}

/// Addresses of hosts.
pub type Given = BTreeMap<String, Vec<IpAddr>>;

/// A port of a ServiceEntry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPort {
    /// The port that clients dial.
    pub number: u16,
    /// Unique within the entry.
    pub name: String,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where it leads.
    pub target: u16,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Not said.
    #[default]
    Unknown,
    /// HTTP/1.1.
    Http,
    /// HTTP/2.
    Http2,
    /// gRPC.
    Grpc,
    /// Anything over TCP.
    Tcp,
    /// TLS.
    Tls,
}

/// How the endpoints of a ServiceEntry are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// They are what was dialled.
    #[default]
    None,
    /// They are written down.
    Static,
    /// By the name's addresses in DNS; both of the API's ways, which differ for Envoy only.
    Dns,
    /// By the addresses of the name that a request is for.
    DynamicDns,
}

/// Who sees a ServiceEntry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    #[default]
    Public,
    /// Clients of its namespace.
    Namespace,
    /// Nobody.
    Nobody,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At an address.
    Ip(IpAddr),
    /// Where DNS says.
    Host(String),
}

impl Place {
    /// Its address, if it has one of its own.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Host(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Host(host) => host.fmt(f),
        }
    }
}

/// An instance: of a ServiceEntry, or a WorkloadEntry of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub place: Place,
    /// Port name to its own number.
    pub ports: BTreeMap<String, u16>,
    /// Its labels.
    pub labels: Map,
    /// Its network; empty is the own one.
    pub network: String,
    /// Region, zone and subzone, as far as known.
    pub locality: [String; 3],
    /// Its share of the traffic; 0 is that of everybody.
    pub weight: u32,
    /// Whose identity it has; empty is `default`.
    pub service_account: String,
}

impl Endpoint {
    /// The one that a host name is itself.
    pub fn named(host: &str) -> Self {
        Self {
            place: Place::Host(host.to_owned()),
            ports: BTreeMap::new(),
            labels: Map::new(),
            network: String::new(),
            locality: Default::default(),
            weight: 0,
            service_account: String::new(),
        }
    }
}

/// One instance of something that runs outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadEntry {
    /// Name, annotations, and the labels of object and spec together, the spec's first.
    pub meta: Meta,
    /// The instance.
    pub endpoint: Endpoint,
}

impl ServiceEntry {
    /// The hosts that need an address which nobody wrote: clients dial addresses.
    pub fn wants_addresses(&self) -> &[String] {
        let opted_out = self.meta.label(ALLOCATE).and_then(boolean) == Some(false);
        let unseen = self.visibility == Visibility::Nobody;
        let has = !self.addresses.is_empty() || self.resolution == Resolution::None;
        if opted_out || unseen || has { &[] } else { &self.hosts }
    }

    /// The single addresses that its author wrote.
    pub fn written_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let hosts = self.addresses.iter().filter(|n| n.prefix_len() == n.max_prefix_len());
        hosts.map(IpNet::addr)
    }

    /// Orders those of one host name: the oldest first, what has no date after all others.
    pub fn age(&self) -> (bool, &str, &Key) {
        (self.meta.created.is_empty(), &self.meta.created, &self.meta.key)
    }
}

/// Whether a host stands for every name below it.
pub fn is_wildcard(host: &str) -> bool {
    host.starts_with("*.")
}
