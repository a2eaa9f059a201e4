//! The way to discovery and to certificates.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use hbone::ca::CaClient;
use hbone::channel::{ChannelConfig, ControlPlane, Credentials, Roots, ServerUrl, Token};
use hbone::xds::{Client, NodeInfo, XdsMetrics};
use observe::recorder::Recorder;
use observe::recorder::discovery::Watched;
use prometheus_client::registry::Registry;

use crate::cert::NodeIssuer;
use crate::config::Config;
use crate::state::{ADDRESSES, AUTHORIZATIONS, State};

/// What a person wants to know of, of all that comes.
const POLICIES: Watched =
    Watched { type_url: AUTHORIZATIONS, kind: "policy", one: "policy", several: "policies" };

/// The certificate authority, asked in the name of the node's pods.
pub(super) fn issuer(config: &Config) -> anyhow::Result<NodeIssuer> {
    let control = control_plane(
        config,
        &config.ca_address,
        config.alt_ca_hostname.as_deref(),
        &config.ca_root_ca,
        "CA_HEADER_",
    )
    .context("CA_ADDRESS, CA_ROOT_CA and AUTH_TOKEN say how to reach the authority")?;
    Ok(NodeIssuer { client: CaClient::new(control), ttl: config.secret_ttl })
}

/// Discovery's server, which also asks for what is remembered here.
pub(super) fn control(config: &Config) -> anyhow::Result<ControlPlane> {
    control_plane(
        config,
        &config.xds_address,
        config.alt_xds_hostname.as_deref(),
        &config.xds_root_ca,
        "XDS_HEADER_",
    )
    .context("XDS_ADDRESS, XDS_ROOT_CA and AUTH_TOKEN say how to reach discovery")
}

/// The discovery client that fills `state`.
pub(super) fn discovery(
    config: &Config,
    state: &Arc<State>,
    registry: &mut Registry,
    recorder: &Recorder,
) -> anyhow::Result<Client> {
    let control = control(config)?;
    let metadata = NodeInfo::metadata_from_env(std::env::vars())
        .map_err(|(name, error)| anyhow::anyhow!("{name} is no JSON: {error}"))?;
    let node = NodeInfo {
        kind: "ztunnel".to_owned(),
        ip: config.instance_ip,
        pod: config.pod_name.clone(),
        namespace: config.pod_namespace.clone(),
        service_account: config.service_account.clone(),
        node: config.place.node.to_string(),
        cluster_domain: config.cluster_domain.clone(),
        metadata,
    };
    let metrics = XdsMetrics::register(registry);
    Ok(Client::new(control, &node, metrics)
        .telling(recorder.discovery(&[POLICIES]))
        .watch(ADDRESSES, Arc::new(state.addresses()))
        .watch(AUTHORIZATIONS, Arc::new(state.authorizations())))
}

fn control_plane(
    config: &Config,
    addresses: &str,
    alternative_hostname: Option<&str>,
    roots: &str,
    header_prefix: &str,
) -> anyhow::Result<ControlPlane> {
    let servers: Result<Vec<ServerUrl>, _> =
        addresses.split(',').map(|address| address.trim().parse()).collect();
    let extra: Vec<(String, String)> = std::env::vars()
        .filter_map(|(name, value)| Some((name.strip_prefix(header_prefix)?.to_lowercase(), value)))
        .collect();
    let extra = extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let token = match &config.auth_token {
        Some(setting) => Token::from_setting(setting),
        None if Path::new(Config::TOKEN_FILE).exists() => Token::File(Config::TOKEN_FILE.into()),
        None => Token::Absent,
    };
    Ok(ControlPlane::new(ChannelConfig {
        servers: servers?,
        alternative_hostname: alternative_hostname.map(str::to_owned),
        roots: Roots::from_setting(roots),
        credentials: Credentials::new(token, &config.place.cluster, extra)?,
        connect_timeout: ChannelConfig::CONNECT_TIMEOUT,
    })?)
}
