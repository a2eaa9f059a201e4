//! Ambit with a waypoint: the server's service is bound to a Gateway, whose pod is on the
//! server's node. HTTP passes its pipeline with one route; anything else is relayed.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use testbed::{Pod, Process, Testbed, eventually, manifests};

use super::mesh::{ControlPlane, MeshNode, READY_WITHIN, Ztunnel, page, said};
use super::{PORT, Place, Program, Subject, sibling};

/// The subject's name; of its namespace and nodes, too.
pub const NAME: &str = "waypoint";
/// Name of the Gateway, its service, its pod and the pod's account.
const GATEWAY: &str = "gateway";
/// The address of the server's service, and of the waypoint's.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 200, 1);
const GATEWAY_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 200, 2);
/// Labels of Istio and of the Gateway API.
const BOUND: (&str, &str) = ("istio.io/use-waypoint", GATEWAY);
const MEMBER: (&str, &str) = ("gateway.networking.k8s.io/gateway-name", GATEWAY);
/// The waypoint's pages.
const READINESS: u16 = 15021;
const METRICS: u16 = 15020;

impl Subject {
    /// Two ztunnels, and between them a waypoint.
    ///
    /// # Errors
    /// If a program does not start.
    pub async fn waypoint(bed: &Testbed, control: &ControlPlane) -> anyhow::Result<Self> {
        let place = Place::new(bed, NAME)?;
        let gateway = bed.pod(&format!("{NAME}/{GATEWAY}"), &place.nodes[1])?;
        describe(control, &place, &gateway)?;
        let [near, far] = &place.nodes;
        let ours = Ztunnel::ours()?;
        let near = MeshNode::start(bed, control, near, &ours).await?;
        near.enrol(&place.client).await?;
        let far = MeshNode::start(bed, control, far, &ours).await?;
        far.enrol(&gateway).await?;
        let waypoint = start(control, &far, &gateway).await?;
        far.enrol(&place.server).await?;
        let ((near, near_agent), (far, far_agent)) = (near.into_processes(), far.into_processes());
        let programs = [("ztunnel, client", near), (NAME, waypoint), ("ztunnel, server", far)];
        let programs = programs.map(|(name, process)| Program { name: name.to_owned(), process });
        let background = vec![near_agent, far_agent];
        let dial = (ADDRESS, PORT).into();
        let subject = Self { dial, ..Self::of(NAME, place, programs.into(), background) };
        subject.passes(&gateway).await?;
        Ok(subject)
    }

    /// Waits until a request of the client was one of the waypoint's.
    async fn passes(&self, gateway: &Pod) -> anyhow::Result<()> {
        let to = self.dial.to_string();
        let request = self.load()?.args(["http", "--millis", "1", "--to", &to]);
        let passed = eventually("a request passes the waypoint", READY_WITHIN, async || {
            let answered = request.run(READY_WITHIN).await.is_ok_and(|done| done.success().is_ok());
            answered
                && page(gateway.netns(), METRICS, "/metrics")
                    .is_some_and(|metrics| metrics.contains("istio_requests_total{"))
        });
        passed.await.with_context(|| self.said())?;
        Ok(())
    }
}

/// Everything before any pod starts: nobody ever knows the service without its waypoint.
fn describe(control: &ControlPlane, place: &Place, gateway: &Pod) -> anyhow::Result<()> {
    control.describe(NAME, &place.nodes, &[(&place.client, place.client.name())])?;
    let mut class = manifests::waypoint((NAME, GATEWAY), "ambit-waypoint");
    class["metadata"]["labels"] = manifests::labels(&[("istio.io/waypoint-for", "all")]);
    let server = ("app", "server");
    let service = |name, address: Ipv4Addr, select, port| {
        let ports = [("", port, port)];
        manifests::service((NAME, name), &[&address.to_string()], &[select], &ports)
    };
    let mut bound = service("server", ADDRESS, server, PORT);
    bound["metadata"]["labels"] = manifests::labels(&[BOUND]);
    let mut hbone = service(GATEWAY, GATEWAY_ADDRESS, MEMBER, hbone::tunnel::HBONE_PORT);
    hbone["metadata"]["labels"] = manifests::labels(&[MEMBER]);
    let rules = serde_json::json!([{
        "matches": [{"path": {"type": "PathPrefix", "value": "/load"}}],
        "backendRefs": [{"name": "server", "port": PORT}],
    }]);
    for object in [
        class,
        hbone,
        bound,
        manifests::http_route((NAME, "server"), "server", &rules),
        manifests::service_account(NAME, GATEWAY),
        manifests::service_account(NAME, "server"),
        manifests::pod(gateway, GATEWAY, &[MEMBER]),
        manifests::pod(&place.server, "server", &[server]),
    ] {
        control.apply(&object)?;
    }
    Ok(())
}

/// Starts the waypoint as `ambit node` does, and waits until it is ready.
async fn start(control: &ControlPlane, node: &MeshNode, pod: &Pod) -> anyhow::Result<Process> {
    let token = node.pod_token(control, pod).await?;
    let environment = control.environment(&token);
    let mut command = pod.command(sibling("waypoint")?);
    for (name, value) in environment {
        command = command.env(name, value);
    }
    let process = command
        .env("NODE_NAME", pod.node().name())
        .env("POD_NAME", pod.name())
        .env("POD_NAMESPACE", pod.namespace())
        .env("SERVICE_ACCOUNT", GATEWAY)
        .env("GATEWAY_NAME", GATEWAY)
        .env("INSTANCE_IP", pod.ip4().to_string())
        .spawn()?;
    let ready = eventually("the waypoint is ready", READY_WITHIN, async || {
        page(pod.netns(), READINESS, "/healthz/ready").is_some_and(|page| page.contains(" 200 "))
    });
    ready.await.with_context(|| said(&process))?;
    Ok(process)
}
