//! Everything that writes to the API server on account of the model, while this replica leads.

use std::sync::{Arc, RwLock};

use tokio::sync::watch;

use super::class;
use super::leader::while_leading;
use super::observed::Observed;
use super::status::Status;
use super::touched::Touched;
use super::waypoints::controller::Controller;
use super::waypoints::namespaces::Namespaces;
use super::waypoints::outcome::Outcomes;
use super::waypoints::{Settings, options};
use crate::config::Config;
use crate::model::world::World;
use crate::status::Board;

/// The writers.
pub struct Writers {
    waypoints: Controller,
    namespaces: Namespaces,
    status: Status,
    client: kube::Client,
    observed: Observed,
}

impl Writers {
    /// Writers as `config` says.
    pub fn new(
        client: kube::Client,
        config: &Config,
        observed: Observed,
        world: Arc<RwLock<World>>,
        board: Board,
        touched: Touched,
        instance: String,
    ) -> Self {
        let outcomes = Outcomes::new(touched.clone());
        let waypoints = Controller {
            client: client.clone(),
            observed: observed.clone(),
            world: world.clone(),
            settings: settings(config),
            system_namespace: config.system_namespace.clone(),
            istio_class: config.waypoints.istio_waypoint_class,
            outcomes: outcomes.clone(),
        };
        let namespaces = Namespaces {
            client: client.clone(),
            observed: observed.clone(),
            touched: touched.clone(),
        };
        let istio_class = config.waypoints.istio_waypoint_class;
        let status = Status {
            client: client.clone(),
            observed: observed.clone(),
            world,
            board,
            outcomes,
            touched,
            istio_class,
            instance,
        };
        Self { waypoints, namespaces, status, client, observed }
    }

    /// Writes while `leading` says so; ends with its sender.
    pub async fn run(self, leading: watch::Receiver<bool>) {
        while_leading(leading, || async {
            tokio::join!(
                self.waypoints.clone().run(),
                self.namespaces.clone().run(),
                self.status.clone().run(),
                class::keep(self.client.clone(), self.observed.clone())
            );
        })
        .await;
    }
}

fn settings(config: &Config) -> Settings {
    let options::Options { waypoint_image, waypoint_pull_policy, waypoint_control, .. } =
        config.waypoints.clone();
    let here = || format!("https://istiod.{}.svc:15012", config.system_namespace);
    Settings {
        image: waypoint_image,
        pull_policy: waypoint_pull_policy,
        control: if waypoint_control.is_empty() { here() } else { waypoint_control },
        // The world's, once it is known.
        trust_domain: String::new(),
        cluster: config.cluster.clone(),
        network: config.network.clone(),
        domain: config.cluster_domain.clone(),
    }
}
