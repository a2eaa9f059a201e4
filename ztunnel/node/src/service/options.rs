//! What a user sets, by flag or environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::enrol::Exclusions;

/// Settings of the node agent.
#[derive(Clone, Debug, Args)]
pub struct AgentOptions {
    /// Name of this node, as its Node object has it
    #[arg(long = "node", env = "NODE_NAME")]
    pub node: String,

    /// Address of control
    #[arg(long, env = "XDS_ADDRESS", default_value = "https://istiod.istio-system.svc:15012")]
    pub control: String,

    /// Name that control's certificate may bear instead of the host of its address
    #[arg(long, env = "ALT_XDS_HOSTNAME")]
    pub control_name: Option<String>,

    /// Roots that verify control: a PEM file, PEM itself, or SYSTEM
    #[arg(long, env = "XDS_ROOT_CA", default_value = "./var/run/secrets/istio/root-cert.pem")]
    pub root_ca: String,

    /// Cluster of this node
    #[arg(long, env = "CLUSTER_ID", default_value = "Kubernetes")]
    pub cluster: String,

    /// File with the single-use token that lets this node join
    #[arg(
        long,
        env = "AMBIT_JOIN_TOKEN_FILE",
        default_value = "./var/run/secrets/ambit/join-token"
    )]
    pub join_token_file: PathBuf,

    /// File that holds the node credential, written here and read by ztunnel
    #[arg(
        long,
        env = "AMBIT_CREDENTIAL_FILE",
        default_value = "./var/run/secrets/tokens/istio-token"
    )]
    pub credential_file: PathBuf,

    /// Directory of the agent's own sockets and memory
    #[arg(long, env = "AMBIT_RUN_DIR", default_value = "/var/run/istio-cni")]
    pub run_dir: PathBuf,

    /// Socket to which ztunnel connects
    #[arg(long, env = "ZTUNNEL_UDS_ADDRESS", default_value = "/var/run/ztunnel/ztunnel.sock")]
    pub zds_socket: PathBuf,

    /// Namespaces that are never enrolled, separated by commas
    #[arg(long, env = "EXCLUDE_NAMESPACES", default_value = "kube-system", value_delimiter = ',')]
    pub exclude_namespaces: Vec<String>,

    /// What the agent of a Kubernetes node needs
    #[command(flatten)]
    pub kubernetes: ClusterOptions,

    /// Address of /readyz and /healthz
    #[arg(long, env = "AMBIT_HEALTH_ADDR", default_value = "0.0.0.0:8000")]
    pub health_addr: SocketAddr,

    /// Address of /metrics
    #[arg(long, env = "AMBIT_METRICS_ADDR", default_value = "0.0.0.0:15014")]
    pub metrics_addr: SocketAddr,
}

/// Settings of the agent of a Kubernetes node.
#[derive(Clone, Debug, Args)]
pub struct ClusterOptions {
    /// Ask the API server for pods, instead of control, and put the CNI plugin on the node
    #[arg(long = "kubernetes", env = "AMBIT_KUBERNETES")]
    pub enabled: bool,

    /// How to reach the API server; without it, as a pod does
    #[arg(long, env = "AMBIT_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The CNI plugin that comes with the agent
    #[arg(long, env = "AMBIT_CNI_PLUGIN", default_value = "/usr/local/bin/ambit-cni")]
    pub cni_plugin: PathBuf,

    /// The node's directory of CNI plugins
    #[arg(long, env = "AMBIT_CNI_BIN_DIR", default_value = "/opt/cni/bin")]
    pub cni_bin_dir: PathBuf,

    /// The node's directory of CNI configurations
    #[arg(long, env = "AMBIT_CNI_CONF_DIR", default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,

    /// Name of our configuration; it must sort before all others
    #[arg(long, env = "CNI_CONF_NAME", default_value = "00-ambit.conflist")]
    pub cni_conf_name: String,

    /// The agent's own DaemonSet, as namespace/name: with it the plugin is removed
    #[arg(long, env = "AMBIT_DAEMONSET")]
    pub daemonset: Option<String>,
}

impl AgentOptions {
    /// Who is never enrolled; an empty setting excludes nobody.
    pub fn exclusions(&self) -> Exclusions {
        let names = self.exclude_namespaces.iter().map(|name| name.trim().to_owned());
        Exclusions { namespaces: names.filter(|name| !name.is_empty()).collect() }
    }
}
