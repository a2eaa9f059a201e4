//! What happens at the limits of pools and connections.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::*;
use crate::tunnel::headers::{BAGGAGE, Baggage};

fn config(change: impl FnOnce(&mut TunnelConfig)) -> TunnelConfig {
    let mut config = TunnelConfig::default();
    change(&mut config);
    config
}

#[tokio::test]
async fn a_full_pool_refuses_and_counts_it() {
    let config = config(|c| (c.max_streams_opened, c.max_connections) = (2, 2));
    let mut bed = Bed::new(config.clone()).await;
    let mut registry = Registry::default();
    let metrics = PoolMetrics::register(&mut registry);
    bed.pool = Pool::new(Arc::new(Direct), Arc::new(config), metrics);
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(bed.open().await);
    }
    assert_eq!(bed.connections.load(Ordering::SeqCst), 2);
    let refused = soon(bed.pool.open(&bed.request)).await.expect_err("all is full");
    assert!(matches!(refused, TunnelError::PoolFull { limit: 2, .. }), "{refused}");
    let mut page = String::new();
    encode(&mut page, &registry).expect("a page");
    assert!(page.contains("ambit_tunnel_pool_full_total 1\n"), "{page}");
    // A place that is given back is taken again.
    open.pop();
    bed.open().await;
}

#[tokio::test]
async fn a_server_takes_so_many_tunnels_on_a_connection_and_no_more() {
    let mut bed = Bed::new(config(|c| c.max_streams_accepted = 3)).await;
    let mut open = Vec::new();
    for _ in 0..7 {
        open.push(bed.open().await);
    }
    assert_eq!(bed.connections.load(Ordering::SeqCst), 3, "3 and 3 and 1");
}

#[test]
fn baggage_is_read_up_to_its_limit() {
    let mut headers = HeaderMap::new();
    let mut add = |value: &str| headers.append(BAGGAGE, value.parse().expect("a value"));
    add(&format!("x={}", "y".repeat(8000)));
    add("k8s.namespace.name=shop");
    add(&format!("x={}", "y".repeat(8000)));
    add("k8s.cluster.name=behind");
    let read = Baggage::from_headers(&headers);
    assert_eq!((read.namespace.as_str(), read.cluster.as_str()), ("shop", ""));
}
