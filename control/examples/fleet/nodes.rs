//! The nodes: each joins with a token of its own, has a recorder with a ring of its own, and
//! answers control on its call.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hbone::channel::{ChannelConfig, ControlPlane, Credentials, Roots, Token};
use hbone::wire::pb::ambit::node::v1 as pb;
use hbone::wire::pb::ambit::node::v1::node_service_client::NodeServiceClient;
use observe::pb::{Certificate, Origin, Pod, State};
use observe::recorder::{Ends, Exchange, Failure, Flow, Recorder, collector};
use observe::ring::RingSettings;
use observe::{home, now_ms};
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::plan::{PODS, Row, Size};

/// A proxy that remembers.
pub(crate) struct Proxy {
    pub(crate) recorder: Recorder,
    pub(crate) rows: Vec<Row>,
    pub(crate) ring: PathBuf,
    plane: ControlPlane,
}

fn plane(control: &Control, token: Token) -> anyhow::Result<ControlPlane> {
    Ok(ControlPlane::new(ChannelConfig {
        servers: vec![control.address().parse()?],
        alternative_hostname: None,
        roots: Roots::from_setting(&control.root_certificate().to_string_lossy()),
        credentials: Credentials::new(token, "Kubernetes", [])?,
        connect_timeout: ChannelConfig::CONNECT_TIMEOUT,
    })?)
}

fn proxy(origin: Origin, rows: Vec<Row>, home: &Path, plane: ControlPlane) -> Proxy {
    let ring = home.join(format!("{}-{}", origin.name, origin.node));
    let settings = RingSettings { directory: Some(ring.clone()), limit: RingSettings::LIMIT };
    let origin =
        Origin { version: env!("CARGO_PKG_VERSION").to_owned(), started_ms: now_ms(), ..origin };
    Proxy { recorder: Recorder::new(origin, settings), rows, ring, plane }
}

/// Joins all nodes, and makes the proxies of each.
pub(crate) async fn join(size: Size, control: &Control, home: &Path) -> anyhow::Result<Vec<Proxy>> {
    let mut proxies = Vec::new();
    let mut waypoints = size.waypoint_rows();
    let stranger = plane(control, Token::Absent)?;
    for (n, rows) in size.rows().into_iter().enumerate() {
        let node = Size::node(n);
        let token = control.token(&node)?;
        let request = pb::JoinRequest { token, node: node.clone() };
        let joined = NodeServiceClient::new(stranger.connect().await?).join(request).await;
        let credential = joined.with_context(|| format!("{node} may not join"))?.into_inner();
        let own = plane(control, Token::Text(credential.token))?;
        for (namespace, rows) in waypoints.iter_mut().enumerate() {
            if size.node_of_waypoint(namespace) != n {
                continue;
            }
            let request = pb::PodCredentialRequest {
                namespace: size.namespace(namespace),
                name: "waypoint-0".to_owned(),
                uid: format!("uid-waypoint-{namespace}"),
            };
            let bought = NodeServiceClient::new(own.connect().await?).pod_credential(request).await;
            let credential = bought.context("a waypoint gets no credential")?.into_inner();
            let origin = Origin {
                node: node.clone(),
                kind: "waypoint".to_owned(),
                name: format!("waypoint-{}", size.namespace(namespace)),
                namespace: size.namespace(namespace),
                gateway: "waypoint".to_owned(),
                ..Origin::default()
            };
            let plane = plane(control, Token::Text(credential.token))?;
            proxies.push(proxy(origin, std::mem::take(rows), home, plane));
        }
        let kind = "ztunnel".to_owned();
        let origin = Origin { node, name: kind.clone(), kind, ..Origin::default() };
        let ztunnel = proxy(origin, rows, home, own);
        let state = state(size, n);
        ztunnel.recorder.tell_state(move || state.clone());
        proxies.push(ztunnel);
    }
    Ok(proxies)
}

/// What a ztunnel says of itself: its pods and their certificates.
fn state(size: Size, node: usize) -> State {
    let here = (0..size.workloads).flat_map(|workload| (0..PODS).map(move |pod| (workload, pod)));
    let here = here.filter(|(workload, pod)| size.node_of(*workload, *pod) == node);
    let mut state = State { ready: true, connected_ms: now_ms(), ..State::default() };
    for (workload, pod) in here {
        let (namespace, name) = (size.namespace(workload), Size::workload(workload));
        let identity = format!("spiffe://cluster.local/ns/{namespace}/sa/{name}");
        state.pods.push(Pod {
            namespace,
            name: Size::pod(workload, pod),
            identity: identity.clone(),
            workload: name,
            state: "enrolled".to_owned(),
            ..Pod::default()
        });
        let not_after_ms = now_ms() + 86_400_000;
        let state_of = "valid".to_owned();
        state.certificates.push(Certificate {
            identity,
            not_after_ms,
            state: state_of,
            ..Certificate::default()
        });
    }
    state
}

impl Proxy {
    /// Begins to count, to end steps and to answer control, until `quit`.
    pub(crate) fn run(self: &Arc<Self>, quit: &CancellationToken) {
        tokio::spawn(collector::run(self.recorder.clone(), quit.clone()));
        tokio::spawn(home::run(self.recorder.clone(), self.plane.clone(), quit.clone()));
        let (proxy, quit) = (Arc::clone(self), quit.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = quit.cancelled() => {}
                () = proxy.live() => {}
            }
        });
    }

    /// Carries a little, all the time: every edge once in 10 s.
    async fn live(&self) {
        let mut every = tokio::time::interval(Duration::from_millis(1_000));
        let mut open: Vec<Arc<Flow>> = Vec::new();
        for round in 0usize.. {
            every.tick().await;
            for (n, row) in self.rows.iter().enumerate().filter(|(n, _)| n % 10 == round % 10) {
                if row.key.reporter == "waypoint" {
                    self.recorder.request(row.key.clone(), exchange(row, round + n));
                    continue;
                }
                let flow = self.recorder.open(row.key.clone(), ends(row));
                flow.sent(1_200);
                flow.received(14_000);
                let refused = row.refused_by.as_ref().filter(|_| round % 3 == 0);
                match refused {
                    // Some stay open for a while.
                    None if n % 5 == 0 => open.push(flow),
                    refused => self.recorder.close(&flow, refused.map(|policy| refusal(policy))),
                }
            }
            let over = open.len().saturating_sub(30);
            open.drain(..over).for_each(|flow| self.recorder.close(&flow, None));
        }
    }
}

pub(crate) fn refusal(policy: &str) -> Failure {
    Failure {
        class: "DENY".to_owned(),
        refused: true,
        policy: policy.to_owned(),
        error: format!("refused by {policy}"),
        hop: "destination ztunnel".to_owned(),
    }
}

fn ends(row: &Row) -> Ends {
    Ends {
        source_pod: row.source_pod.as_str().into(),
        destination_pod: row.destination_pod.as_str().into(),
        source: Some(([10, 128, 0, 9], 40_000).into()),
        destination: Some(([10, 96, 0, 9], 8080).into()),
    }
}

fn exchange(row: &Row, n: usize) -> Exchange {
    Exchange {
        latency: Duration::from_micros(900 + (n as u64 * 7_919) % 40_000),
        status: if n % 50 == 0 { 503 } else { 200 },
        sent_bytes: 400,
        received_bytes: 3_000,
        ends: ends(row),
        ..Exchange::default()
    }
}
