//! Services of the mesh: addresses that only it answers, and names in `/etc/hosts`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::{Mesh, MeshError, PATIENCE};
use crate::manifests;

/// Services in one mesh.
pub const SERVICES_LIMIT: u16 = 1000;

/// A service to be made: `mesh.service("shop/store").port(80, 8080).create()?`.
#[must_use = "create it"]
pub struct ServiceRequest {
    mesh: Mesh,
    namespace: String,
    name: String,
    ports: Vec<(String, u16, u16)>,
    selector: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

/// A service. Its labels can be changed by applying its manifest again.
#[derive(Clone, Debug)]
pub struct MeshService {
    /// `name.namespace.svc.cluster.local`.
    pub host: String,
    /// Its address.
    pub ip4: Ipv4Addr,
    /// Its address.
    pub ip6: Ipv6Addr,
    /// Its manifest.
    pub manifest: Value,
}

impl Mesh {
    /// A service `namespace/name` with an address of each family. It selects the pods whose
    /// label `app` is its name.
    pub fn service(&self, name: &str) -> ServiceRequest {
        let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
        ServiceRequest {
            mesh: self.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ports: Vec::new(),
            selector: BTreeMap::from([("app".to_owned(), name.to_owned())]),
            labels: BTreeMap::new(),
        }
    }

    /// Waits until every ztunnel knows a service with an endpoint.
    ///
    /// # Errors
    /// `Late` with the logs.
    pub async fn has_service(&self, service: &MeshService) -> Result<Duration, MeshError> {
        let what = format!("every ztunnel knows an endpoint of {}", service.host);
        let is = |dump: &Value| {
            let services = dump.get("services").and_then(Value::as_array);
            services.is_some_and(|all| {
                all.iter().any(|one| {
                    let host = one.get("hostname").and_then(Value::as_str);
                    let endpoints = one.get("endpoints").and_then(Value::as_object);
                    host == Some(&service.host) && endpoints.is_some_and(|all| !all.is_empty())
                })
            })
        };
        self.inner.until(what, PATIENCE, async || self.every_dump(is).await).await
    }
}

impl ServiceRequest {
    /// With a port, served on a port of its pods.
    pub fn port(self, port: u16, target: u16) -> Self {
        self.named_port("", port, target)
    }

    /// With a port that has a name, such as `http` or `grpc-web`.
    pub fn named_port(mut self, name: &str, port: u16, target: u16) -> Self {
        let name = if name.is_empty() { format!("tcp-{port}") } else { name.to_owned() };
        self.ports.push((name, port, target));
        self
    }

    /// Of the pods with this label, instead of `app` and its name.
    pub fn selecting(mut self, key: &str, value: &str) -> Self {
        self.selector = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        self
    }

    /// With this label.
    pub fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Writes its manifest and its names: `name`, `name.namespace` and the full one. The short
    /// one is that of the service made last.
    ///
    /// # Errors
    /// `Manifest`, or `Missing` when no address is left.
    pub fn create(self) -> Result<MeshService, MeshError> {
        let Self { mesh, namespace, name, ports, selector, labels } = self;
        mesh.namespace(&namespace)?;
        let number = {
            let mut state = mesh.inner.lock();
            state.services += 1;
            state.services
        };
        if number > SERVICES_LIMIT {
            return Err(MeshError::Missing { object: "address for service", name });
        }
        let [high, low] = (number + 9).to_be_bytes();
        let ip4 = Ipv4Addr::new(10, 96, high, low);
        let ip6 = Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, number + 9);
        let texts = [ip4.to_string(), ip6.to_string()];
        let ports: Vec<manifests::ServicePort<'_>> =
            ports.iter().map(|(name, port, target)| (name.as_str(), *port, *target)).collect();
        let select: Vec<(&str, &str)> =
            selector.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let addresses = texts.each_ref().map(String::as_str);
        let mut manifest = manifests::service((&namespace, &name), &addresses, &select, &ports);
        manifest["metadata"]["labels"] = serde_json::json!(labels);
        mesh.apply(&manifest)?;
        let host = format!("{name}.{namespace}.svc.cluster.local");
        let addresses: [IpAddr; 2] = [ip4.into(), ip6.into()];
        for alias in [name.clone(), format!("{name}.{namespace}"), host.clone()] {
            mesh.bed().host(&alias, &addresses)?;
        }
        Ok(MeshService { host, ip4, ip6, manifest })
    }
}

impl MeshService {
    /// Its IPv4 address and a port.
    pub fn at4(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip4.into(), port)
    }

    /// Its IPv6 address and a port.
    pub fn at6(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip6.into(), port)
    }
}
