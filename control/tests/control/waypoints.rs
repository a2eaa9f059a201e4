//! A waypoint by label, as the node proxies hear of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hbone::wire::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use hbone::wire::pb::istio::workload::{Address, address::Type};
use prost::Message;

use crate::support::{ADDRESS, AUTHORIZATION, Discovery, Mesh, SHOP, first, workload};

/// The longest that a proxy which does not acknowledge keeps a guard back, and some more.
const LATE: Duration = Duration::from_secs(4);

/// A node proxy that takes what it hears; of the rest it says nothing.
struct Proxy {
    stream: Discovery,
    /// Policies that it knows.
    policies: BTreeSet<String>,
    /// Whether calls to service store go through a waypoint.
    bound: bool,
    /// Policies that the workload store names.
    guards: Vec<String>,
}

impl Proxy {
    async fn start(mesh: &Mesh, node: &str) -> Self {
        let token = mesh.join(node).await;
        let stream = mesh.discover(&token, first(node, AUTHORIZATION)).await;
        let (policies, guards) = (BTreeSet::new(), Vec::new());
        let mut proxy = Self { stream, policies, bound: false, guards };
        proxy.take().await;
        proxy.stream.send(first(node, ADDRESS)).await;
        proxy.take().await;
        proxy
    }

    /// The next response, acknowledged.
    async fn take(&mut self) {
        let response = self.hear().await;
        self.acknowledge(&response).await;
    }

    /// The next response, and no word on it.
    async fn hear(&mut self) -> DeltaDiscoveryResponse {
        let response = self.stream.next_unacknowledged().await;
        if response.type_url == AUTHORIZATION {
            self.policies.extend(response.resources.iter().map(|r| r.name.clone()));
            self.policies.retain(|name| !response.removed_resources.contains(name));
        } else {
            self.bound = service_is_bound(&response).unwrap_or(self.bound);
            if let Some(store) = workload(&response, "store") {
                self.guards = store.authorization_policies;
            }
        }
        response
    }

    async fn acknowledge(&self, response: &DeltaDiscoveryResponse) {
        let request = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        self.stream.send(request).await;
    }

    async fn until(&mut self, is: impl Fn(&Self) -> bool) {
        while !is(self) {
            self.take().await;
        }
    }

    /// The first response after which it is so; those before are acknowledged.
    async fn hear_until(&mut self, is: impl Fn(&Self) -> bool) -> DeltaDiscoveryResponse {
        loop {
            let response = self.hear().await;
            if is(self) {
                return response;
            }
            self.acknowledge(&response).await;
        }
    }

    fn is_guarded(&self) -> bool {
        // A name that no policy has would be passed over.
        !self.guards.is_empty() && self.guards.iter().all(|name| self.policies.contains(name))
    }
}

fn service_is_bound(response: &DeltaDiscoveryResponse) -> Option<bool> {
    response.resources.iter().find_map(|resource| {
        let body = resource.resource.as_ref()?;
        match Address::decode(body.value.as_slice()).ok()?.r#type? {
            Type::Service(service) => Some(service.waypoint.is_some()),
            Type::Workload(_) => None,
        }
    })
}

fn labelled() -> String {
    let service = "kind: Service\nmetadata: {name: store, namespace: shop";
    assert!(SHOP.contains(service));
    SHOP.replace(service, &format!("{service}, labels: {{istio.io/use-waypoint: wp}}"))
}

async fn two_proxies() -> (Mesh, Proxy, Proxy) {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let (caller, destination) =
        (Proxy::start(&mesh, "node-a").await, Proxy::start(&mesh, "node-b").await);
    (mesh, caller, destination)
}

#[tokio::test]
async fn nobody_is_refused_before_every_proxy_knows_the_waypoint() {
    let (mesh, mut caller, mut destination) = two_proxies().await;
    mesh.write("shop.yaml", &labelled());
    destination.until(|proxy| proxy.bound).await;
    assert!(destination.guards.is_empty(), "bound first");
    let news = caller.hear_until(|proxy| proxy.bound).await;
    let early = tokio::time::timeout(Duration::from_millis(700), destination.take()).await;
    assert!(
        early.is_err(),
        "the caller's proxy has not said that it knows: {:?}",
        destination.guards
    );
    caller.acknowledge(&news).await;
    let told = Instant::now();
    destination.until(Proxy::is_guarded).await;
    assert!(told.elapsed() < Duration::from_millis(1_200), "{:?}", told.elapsed());

    // The other way round: nobody is refused any more before somebody comes without waypoint.
    mesh.write("shop.yaml", SHOP);
    let news = destination.hear_until(|proxy| proxy.guards.is_empty()).await;
    assert!(destination.bound, "the guard goes first");
    caller.until(|proxy| proxy.guards.is_empty()).await;
    let early = tokio::time::timeout(Duration::from_millis(300), caller.until(|p| !p.bound)).await;
    assert!(early.is_err(), "the destination's proxy may still refuse");
    destination.acknowledge(&news).await;
    caller.until(|proxy| !proxy.bound).await;
    destination.until(|proxy| !proxy.bound && proxy.policies.is_empty()).await;
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_keeps_no_way_around_open() {
    let (mesh, mut silent, mut destination) = two_proxies().await;
    let begun = Instant::now();
    mesh.write("shop.yaml", &labelled());
    silent.hear().await;
    destination.until(Proxy::is_guarded).await;
    assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_proxy_that_is_gone_is_not_waited_for() {
    let (mesh, gone, mut destination) = two_proxies().await;
    drop(gone);
    mesh.write("shop.yaml", &labelled());
    let begun = Instant::now();
    destination.until(Proxy::is_guarded).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
