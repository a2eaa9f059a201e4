//! Where a Service leads that shows the dashboards: to the replica that answers for the mesh.
//!
//! Proxies tell one replica what they remember, and browsers are signed in at one. A selector
//! knows no such difference, so the Service has none, and whoever leads says that it is the one.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::kubernetes::MANAGER;
use crate::kubernetes::leader::while_leading;

/// How often it is written again: somebody may have taken it away.
const AGAIN: Duration = Duration::from_secs(30);
/// Pause before what failed is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// A Service, and what of it is here.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// The addresses of this pod.
    pub addresses: Vec<IpAddr>,
    /// The port of the dashboards here.
    pub port: u16,
}

impl Endpoint {
    /// Has the Service lead here while `leading` says so; ends with its sender.
    pub async fn keep(self, client: kube::Client, leading: watch::Receiver<bool>) {
        while_leading(leading, async || {
            let mut written = false;
            loop {
                let pause = match self.write(&client).await {
                    Ok(()) => {
                        if !written {
                            info!(service = self.service, "the dashboards' Service leads here");
                        }
                        written = true;
                        AGAIN
                    }
                    Err(error) => {
                        written = false;
                        let service = &self.service;
                        warn!(service, %error, "the dashboards' Service does not lead here yet");
                        PAUSE
                    }
                };
                tokio::time::sleep(pause).await;
            }
        })
        .await;
    }

    async fn write(&self, client: &kube::Client) -> kube::Result<()> {
        let services: Api<Service> = Api::namespaced(client.clone(), &self.namespace);
        let service = services.get(&self.service).await?;
        let uid = service.metadata.uid.unwrap_or_default();
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &self.namespace);
        let parameters = PatchParams::apply(MANAGER).force();
        for (name, slice) in self.slices(&uid) {
            slices.patch(&name, &parameters, &Patch::Apply(&slice)).await?;
        }
        Ok(())
    }

    /// One for each family of addresses; they go with the Service.
    fn slices(&self, uid: &str) -> Vec<(String, Value)> {
        let families =
            [("IPv4", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("IPv6", IpAddr::is_ipv6)];
        let slice = |family: &str, addresses: Vec<&IpAddr>| {
            let name = format!("{}-{}", self.service, family.to_lowercase());
            let slice = json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": name,
                    "labels": {
                        "kubernetes.io/service-name": self.service,
                        "endpointslice.kubernetes.io/managed-by": MANAGER,
                    },
                    "ownerReferences": [{
                        "apiVersion": "v1",
                        "kind": "Service",
                        "name": self.service,
                        "uid": uid,
                    }],
                },
                "addressType": family,
                "endpoints": [{"addresses": addresses, "conditions": {"ready": true}}],
                "ports": [{"name": "https", "port": self.port, "protocol": "TCP"}],
            });
            (name, slice)
        };
        let of = |is: fn(&IpAddr) -> bool| self.addresses.iter().filter(|ip| is(ip)).collect();
        let families = families.map(|(family, is)| (family, of(is)));
        let there =
            families.into_iter().filter(|(_, addresses): &(_, Vec<_>)| !addresses.is_empty());
        there.map(|(family, addresses)| slice(family, addresses)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_a_slice_that_goes_with_the_service() {
        let endpoint = Endpoint {
            namespace: "ambit-system".to_owned(),
            service: "ambit-dashboard".to_owned(),
            addresses: vec![[10, 1, 0, 5].into(), "fd00::5".parse().expect("an address")],
            port: 15018,
        };
        let slices = endpoint.slices("u1");
        let names: Vec<&str> = slices.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ambit-dashboard-ipv4", "ambit-dashboard-ipv6"]);
        for ((_, slice), address) in slices.iter().zip(["10.1.0.5", "fd00::5"]) {
            let read: EndpointSlice = serde_json::from_value(slice.clone()).expect("a slice");
            assert_eq!(
                read.endpoints.map(|all| all[0].addresses.clone()),
                Some(vec![address.to_owned()])
            );
            assert_eq!(read.metadata.owner_references.expect("an owner")[0].uid, "u1");
        }
        let one = Endpoint { addresses: vec![[10, 1, 0, 5].into()], ..endpoint };
        assert_eq!(one.slices("u1").len(), 1);
    }
}
