use std::collections::BTreeMap;

use hbone::wire::intern::Interner;
use hbone::wire::pb::istio::workload as wire;
use hbone::wire::workload::Address;
use prost::Message;

use super::*;
use crate::upstream::connect::Connecting;

/// Never asked for a connection.
struct Nowhere;

impl Connect for Nowhere {
    fn connect<'a>(&'a self, _: &'a Endpoint, _: &'a Permit) -> Connecting<'a> {
        unreachable!("nothing is sent")
    }
}

fn endpoint(n: usize) -> Endpoint {
    let [.., high, low] = n.to_be_bytes();
    let workload = wire::Workload {
        uid: format!("pod-{n}"),
        name: format!("pod-{n}"),
        addresses: vec![vec![10, 1, high, low]],
        services: BTreeMap::default(),
        ..Default::default()
    };
    let address = wire::Address { r#type: Some(wire::address::Type::Workload(workload)) };
    let address = Address::decode(&address.encode_to_vec(), &mut Interner::default());
    let Ok(Address::Workload(workload)) = address else { panic!("a workload") };
    Endpoint::direct(&workload, SocketAddr::from(([10, 1, high, low], 80)))
}

#[test]
fn endpoints_without_use_are_forgotten() {
    let connections = Connections::new(Arc::new(Nowhere));
    let kept = connections.slot(&endpoint(0), Protocol::Http1);
    let _busy = Place::take(&kept.open, MAX_HTTP1).expect("free");
    for n in 1..2 * MAX_ENDPOINTS {
        connections.slot(&endpoint(n), Protocol::Http1);
        assert!(lock(&connections.slots).len() <= MAX_ENDPOINTS);
    }
    let again = connections.slot(&endpoint(0), Protocol::Http1);
    assert!(Arc::ptr_eq(&kept, &again), "one that is used stays");
}
