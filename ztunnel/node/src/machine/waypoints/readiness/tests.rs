use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::source::Report;

fn program(readiness: Option<SocketAddr>) -> Program {
    Program {
        name: "waypoint".into(),
        path: "/bin/false".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
        netns: None,
        readiness,
        record: None,
    }
}

/// A page whose status is what `status` holds.
async fn page(status: Arc<AtomicU16>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("has one");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 512];
            let _ = stream.read(&mut request).await;
            let status = status.load(Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

async fn until(reports: &Reports, ready: bool) {
    let reached = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let (_, report) = reports.next().await;
            if report.waypoint_ready == ready {
                return;
            }
        }
    });
    reached.await.expect("in time");
}

#[tokio::test]
async fn each_change_of_readiness_is_reported() {
    let status = Arc::new(AtomicU16::new(503));
    let program = program(Some(page(status.clone()).await));
    let (reports, uid) = (Reports::default(), Uid::from("w"));
    reports.set(&uid, Report::default());
    let watching = reports.clone();
    let watched = uid.clone();
    let task = tokio::spawn(async move { watch(&program, &watched, &watching).await });
    until(&reports, false).await;
    for (answer, ready) in [(200, true), (500, false), (200, true)] {
        status.store(answer, Ordering::Relaxed);
        until(&reports, ready).await;
    }
    // Somebody else's word on the pod leaves this one as it is.
    reports.set(&uid, Report { older_connections: 3, ..Report::default() });
    let (_, report) = reports.next().await;
    assert!(report.waypoint_ready && report.older_connections == 3, "{report:?}");
    task.abort();
}

#[tokio::test]
async fn who_does_not_listen_is_not_ready_and_who_is_gone_is_not_reported_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("has one");
    drop(listener);
    let (reports, uid) = (Reports::default(), Uid::from("w"));
    reports.set(&uid, Report { older_connections: 1, ..Report::default() });
    assert!(reports.set_waypoint_ready(&uid, true));
    let watching = reports.clone();
    let task = tokio::spawn(async move { watch(&program(Some(address)), &uid, &watching).await });
    until(&reports, false).await;
    reports.forget(&Uid::from("w"));
    tokio::time::sleep(STARTING * 3).await;
    assert!(reports.all().is_empty(), "it is not there again");
    task.abort();
}
