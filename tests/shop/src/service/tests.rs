use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use super::{Neighbours, Role, Service};
use crate::answer::Answer;
use crate::{client, server};

async fn start(role: Role, version: &str, neighbours: Neighbours) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(server::serve(listener, Service::new(role, version, neighbours)));
    address
}

fn nowhere() -> Neighbours {
    // Port 1 of this machine: refused at once.
    let url = "http://127.0.0.1:1".to_owned();
    Neighbours { orders: url.clone(), payments: url.clone(), inventory: url }
}

async fn get(url: &str) -> (u16, Answer) {
    let reply = client::get(url, "test", Duration::from_secs(5)).await.expect("an answer");
    (reply.status.as_u16(), serde_json::from_slice(&reply.body).expect("our JSON"))
}

#[tokio::test]
async fn an_order_shows_every_service_that_took_part() {
    let payments = start(Role::Payments, "v2", nowhere()).await;
    let inventory = start(Role::Inventory, "v1", nowhere()).await;
    let beside = Neighbours {
        payments: format!("http://{payments}"),
        inventory: format!("http://{inventory}"),
        ..nowhere()
    };
    let orders = start(Role::Orders, "v1", beside).await;
    let web =
        start(Role::Web, "v1", Neighbours { orders: format!("http://{orders}"), ..nowhere() })
            .await;
    let (status, answer) = get(&format!("http://{web}/")).await;
    assert_eq!(status, 200, "{answer:?}");
    for (service, version) in [("orders", "v1"), ("payments", "v2"), ("inventory", "v1")] {
        let found = answer.of(service).unwrap_or_else(|| panic!("{service} in {answer:?}"));
        assert_eq!(found.version, version);
        assert!(found.peer.is_loopback());
    }
}

#[tokio::test]
async fn a_service_whose_neighbour_is_gone_says_so() {
    let orders = start(Role::Orders, "v1", nowhere()).await;
    let (status, answer) = get(&format!("http://{orders}/orders")).await;
    assert_eq!(status, 502);
    assert!(answer.error.is_some_and(|error| error.contains("127.0.0.1:1")));
    let (status, _) = get(&format!("http://{orders}/nothing")).await;
    assert_eq!(status, 404);
}
