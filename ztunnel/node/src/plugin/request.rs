//! What the runtime says: variables of the environment, and a configuration on standard input.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};

use super::VERSIONS;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A container gets its network.
    Add,
    /// It loses it.
    Delete,
    /// Is it still as it was?
    Check,
    /// Which versions are understood?
    Version,
    /// GC, STATUS, or one that is newer than we are.
    Other,
}

/// Why a request makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The configuration is none.
    #[error("the configuration on standard input: {0}")]
    Json(#[from] serde_json::Error),
    /// A version that we do not know.
    #[error("cniVersion {0:?} is not understood; 0.3.0 to 1.1.0 are")]
    Version(String),
    /// A variable of the environment.
    #[error("{name} is {found:?}; {want}")]
    Variable {
        /// Which.
        name: &'static str,
        /// What was found.
        found: String,
        /// What would be right.
        want: &'static str,
    },
    /// We are not the first of a chain.
    #[error("there is no prevResult: the plugin must stand behind one that makes the network")]
    NoResult,
    /// Its addresses cannot be read.
    #[error("prevResult: {0}")]
    Result(String),
}

/// The configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The version in which everybody speaks.
    #[serde(default)]
    pub cni_version: String,
    /// Directory of the agent's sockets.
    #[serde(rename = "cni_agent_run_dir", default = "run_dir")]
    pub run_dir: PathBuf,
    /// Namespaces whose pods start whatever the agent says.
    #[serde(rename = "exclude_namespaces", default)]
    pub exclude_namespaces: Vec<String>,
    /// What the plugins before us made.
    prev_result: Option<Value>,
}

fn run_dir() -> PathBuf {
    "/var/run/istio-cni".into()
}

/// One request of the runtime.
#[derive(Debug)]
pub struct Request {
    /// What is wanted.
    pub verb: Verb,
    /// How.
    pub config: Config,
    netns: String,
    arguments: BTreeMap<String, String>,
}

/// The pod that a container belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn read(
        variable: impl Fn(&str) -> Option<String>,
        input: &[u8],
    ) -> Result<Self, RequestError> {
        let command = variable("CNI_COMMAND").unwrap_or_default();
        let verb = match command.as_str() {
            "ADD" => Verb::Add,
            "DEL" => Verb::Delete,
            "CHECK" => Verb::Check,
            "VERSION" => Verb::Version,
            "" => {
                let want = "a runtime sets it; this program is not run by hand";
                return Err(RequestError::Variable { name: "CNI_COMMAND", found: command, want });
            }
            _ => Verb::Other,
        };
        let config: Config = serde_json::from_slice(input)?;
        if verb != Verb::Version && !VERSIONS.contains(&config.cni_version.as_str()) {
            return Err(RequestError::Version(config.cni_version));
        }
        let arguments = variable("CNI_ARGS").unwrap_or_default();
        let arguments = arguments.split(';').filter_map(|pair| pair.split_once('='));
        let arguments = arguments.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let netns = variable("CNI_NETNS").unwrap_or_default();
        Ok(Self { verb, config, netns, arguments })
    }

    /// What the plugins before us made.
    ///
    /// # Errors
    /// [`RequestError::NoResult`]
    pub fn previous_result(&self) -> Result<&Value, RequestError> {
        self.config.prev_result.as_ref().ok_or(RequestError::NoResult)
    }

    /// The pod to announce: none if the container is not one of Kubernetes, or its namespace
    /// is excluded.
    ///
    /// # Errors
    /// [`RequestError::Variable`]
    pub fn pod(&self) -> Result<Option<PodName>, RequestError> {
        let argument = |key: &str| self.arguments.get(key).filter(|value| !value.is_empty());
        let (Some(namespace), Some(name)) =
            (argument("K8S_POD_NAMESPACE"), argument("K8S_POD_NAME"))
        else {
            return Ok(None);
        };
        if self.config.exclude_namespaces.contains(namespace) {
            return Ok(None);
        }
        if self.netns.is_empty() {
            let want = "the path of the pod's network namespace";
            let found = self.netns.clone();
            return Err(RequestError::Variable { name: "CNI_NETNS", found, want });
        }
        Ok(Some(PodName { namespace: namespace.clone(), name: name.clone() }))
    }

    /// The body of the call.
    ///
    /// # Errors
    /// [`RequestError::Result`]
    pub fn announcement(&self, pod: &PodName) -> Result<Value, RequestError> {
        #[derive(Deserialize)]
        struct Made {
            #[serde(default)]
            ips: Vec<Ip>,
        }
        #[derive(Deserialize)]
        struct Ip {
            address: IpNet,
            gateway: Option<IpAddr>,
            interface: Option<i64>,
        }
        let made = Made::deserialize(self.previous_result()?)
            .map_err(|error| RequestError::Result(error.to_string()))?;
        let ips = made.ips.iter().map(|ip| {
            let mask = match ip.address.netmask() {
                IpAddr::V4(mask) => STANDARD.encode(mask.octets()),
                IpAddr::V6(mask) => STANDARD.encode(mask.octets()),
            };
            let gateway = ip.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
            json!({
                "Interface": ip.interface,
                "Address": {"IP": ip.address.addr(), "Mask": mask},
                "Gateway": gateway,
            })
        });
        Ok(json!({
            "Netns": self.netns,
            "PodName": pod.name,
            "PodNamespace": pod.namespace,
            "IPs": ips.collect::<Vec<_>>(),
        }))
    }
}
