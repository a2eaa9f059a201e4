//! The agent of a Kubernetes node: pods from the API server, the CNI plugin, kubelet's probes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hbone::netns::Netns;
use hbone::telemetry::Logging;
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::options::AgentOptions;
use super::pages::{AgentPages, Health};
use super::{ServiceError, listen};
use crate::agent::{Agent, AgentConfig, AgentError};
use crate::enrolment::Timing;
use crate::install::{self, Places, chain};
use crate::redirect::host::HostProbes;
use crate::source::kubernetes::KubernetesSource;

/// How long the API server may take to say whether the DaemonSet is gone.
const PATIENCE: Duration = Duration::from_secs(3);

/// A started agent of a Kubernetes node.
pub struct ClusterAgent {
    client: kube::Client,
    daemonset: Option<(String, String)>,
    places: Places,
    probes: HostProbes,
}

impl ClusterAgent {
    /// Starts everything; its tasks end with `stop`.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn start(
        options: &AgentOptions,
        logging: &Logging,
        stop: CancellationToken,
    ) -> Result<Self, ServiceError> {
        let client = client(options.kubernetes.kubeconfig.as_deref()).await?;
        let daemonset = match &options.kubernetes.daemonset {
            Some(text) => {
                Some(text.split_once('/').ok_or_else(|| ServiceError::DaemonSet(text.clone()))?)
            }
            None => None,
        };
        let daemonset = daemonset.map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
        let node = Netns::current().map_err(AgentError::Node)?;
        let probes = HostProbes::of(node);
        let config = AgentConfig {
            run_dir: options.run_dir.clone(),
            zds_socket: options.zds_socket.clone(),
            exclusions: options.exclusions(),
            timing: Timing::default(),
            probes: probes.clone(),
        };
        let source = KubernetesSource::new(client.clone(), options.node.clone());
        let mut registry = super::registry(logging);
        let agent = Agent::start(config, source, &mut registry, stop.clone())?;

        let places = places(options);
        let (ready, installed) = watch::channel(false);
        let metrics = agent.metrics().clone();
        tokio::spawn(when_synced(agent.synced(), {
            install::keep(places.clone(), ready, metrics, stop.clone())
        }));
        let health = Arc::new(Health { synced: agent.synced(), installed: Some(installed) });
        let metrics = Arc::new(AgentPages::new(agent, registry));
        let health = listen(options.health_addr, health).await?;
        let metrics = listen(options.metrics_addr, metrics).await?;
        tokio::spawn(health.run(stop.clone()));
        tokio::spawn(metrics.run(stop));
        Ok(Self { client, daemonset, places, probes })
    }

    /// Takes the CNI plugin and the node's rules away if the agent's DaemonSet is gone. Else
    /// they stay: another agent follows, and until then pods wait for it.
    pub async fn clean_up(&self) {
        let Some((namespace, name)) = &self.daemonset else { return };
        let api: Api<DaemonSet> = Api::namespaced(self.client.clone(), namespace);
        let gone = match tokio::time::timeout(PATIENCE, api.get_opt(name)).await {
            Ok(Ok(found)) => found.is_none_or(|set| set.metadata.deletion_timestamp.is_some()),
            Ok(Err(error)) => {
                warn!(%error, "whether the DaemonSet is gone is unknown; the CNI plugin stays");
                false
            }
            Err(_) => {
                warn!("the API server does not answer; the CNI plugin stays");
                false
            }
        };
        if !gone {
            return;
        }
        info!("the DaemonSet is gone: the CNI plugin and the node's rules are removed");
        if let Err(error) = self.places.remove() {
            warn!(reason = crate::chain(&error), "CNI plugin not removed");
        }
        if let Err(error) = self.probes.remove().await {
            warn!(reason = crate::chain(&error), "rules for probes not removed");
        }
    }
}

/// The plugin is put in force when the agent can answer it.
async fn when_synced(mut synced: watch::Receiver<bool>, then: impl Future<Output = ()>) {
    if synced.wait_for(|synced| *synced).await.is_ok() {
        then.await;
    }
}

fn places(options: &AgentOptions) -> Places {
    let cluster = &options.kubernetes;
    Places {
        program: cluster.cni_plugin.clone(),
        programs: cluster.cni_bin_dir.clone(),
        configs: cluster.cni_conf_dir.clone(),
        file: cluster.cni_conf_name.clone(),
        entry: chain::Entry {
            run_dir: options.run_dir.clone(),
            exclude_namespaces: options.exclusions().namespaces.into_iter().collect(),
        },
    }
}

async fn client(kubeconfig: Option<&Path>) -> Result<kube::Client, ServiceError> {
    let unusable = |error: &dyn std::error::Error| ServiceError::Cluster(error.to_string());
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
            let made =
                kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
            made.map_err(|error| unusable(&error))?
        }
        None => kube::Config::incluster().map_err(|error| unusable(&error))?,
    };
    kube::Client::try_from(config).map_err(|error| unusable(&error))
}
