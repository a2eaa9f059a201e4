//! Faults, one for each alert, brought about as they come about.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use hbone::ca::CaClient;
use hbone::channel::Token;
use hbone::wire::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use hbone::wire::pb::google::rpc::Status as RpcStatus;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use testbed::eventually;
use testbed::manifests::{
    authorization_policy, from_principals, http_route, request_authentication,
};
use testbed::mesh::PATIENCE;

use crate::callers::{Client, POLICIES, caller};
use crate::lab::{Lab, again, talk};

/// Of a certificate, and more.
const LIFE: Duration = Duration::from_secs(90);
const HOUR: Duration = Duration::from_hours(1);

/// A connection that is open while its pod is enrolled.
pub(crate) async fn older_connection(lab: &Lab) -> anyhow::Result<()> {
    lab.keep(lab.old.chat(lab.server.at4(7)).await?);
    lab.mesh.enrol("plain")?;
    lab.old.is_enrolled().await?;
    Ok(())
}

/// Somebody in a pod takes the redirection away.
pub(crate) async fn flushed_rules(lab: &Lab) -> anyhow::Result<()> {
    let flush = lab.old.command("nft").args(["flush", "ruleset"]);
    flush.run(PATIENCE).await?.success()?;
    Ok(())
}

/// An issuer whose keys cannot be had, and its tokens.
pub(crate) async fn no_keys(lab: &Lab) -> anyhow::Result<()> {
    let rules =
        json!([{"issuer": "https://issuer.example", "jwksUri": "https://127.0.0.1:9/keys"}]);
    lab.mesh.apply(&request_authentication(("shop", "jwt"), "store", &rules))?;
    let token =
        "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIn0.AAAA";
    let ask = format!(
        "curl -s -o /dev/null --max-time 5 -H 'Authorization: Bearer {token}' http://store/orders"
    );
    again(&lab.web, 1, "0.1", &ask)
}

/// Services outside by names that nobody knows.
pub(crate) async fn no_name(lab: &Lab) -> anyhow::Result<()> {
    let hosts: Vec<String> = (0..8).map(|number| format!("outside{number}.example")).collect();
    for host in &hosts {
        let name = host.replace('.', "-");
        let spec = json!({"hosts": [host], "resolution": "DNS", "location": "MESH_EXTERNAL",
            "ports": [{"number": 80, "name": "tcp", "protocol": "TCP"}],
            "endpoints": [{"address": format!("nowhere.{host}")}]});
        lab.mesh.apply(&json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
            "metadata": {"name": name, "namespace": "lab"}, "spec": spec}))?;
    }
    let mut addresses = Vec::new();
    eventually("the services have addresses", PATIENCE, async || {
        lab.mesh
            .every_dump(|dump| {
                addresses = hosts.iter().filter_map(|host| given(dump, host)).collect();
                addresses.len() == hosts.len()
            })
            .await
    })
    .await?;
    // What is not found is remembered for a while, so one name alone is asked for rarely.
    let each: Vec<String> = addresses.iter().map(|address| talk(address, 80)).collect();
    again(&lab.client, 1, "1", &each.join("; sleep 1; "))?;
    again(&lab.client, 2, "0.2", &each[0])
}

/// The IPv4 address of a host in a ztunnel's state.
fn given(dump: &Value, host: &str) -> Option<String> {
    let services = dump["services"].as_array()?;
    let service = services.iter().find(|service| service["hostname"] == host)?;
    let vips = service["vips"].as_array()?.iter();
    let addresses = vips.filter_map(|vip| vip.as_str()?.rsplit('/').next());
    addresses.map(str::to_owned).find(|address| address.contains('.'))
}

/// A policy against somebody who does not give up.
pub(crate) async fn refusals(lab: &Lab) -> anyhow::Result<()> {
    let spec = json!({
        "selector": {"matchLabels": {"app": "server"}},
        "rules": [from_principals(&[&lab.other.principal()])],
    });
    lab.mesh.apply(&authorization_policy(("lab", "no-other"), "DENY", spec))?;
    lab.mesh.policy_is_known("lab/no-other", true).await?;
    again(&lab.other, 4, "0.02", &talk("server", 7))
}

/// More connections than a tunnel pool, a pod and a proxy have room for.
pub(crate) async fn crowd(lab: &Lab) -> anyhow::Result<()> {
    for (pod, count) in [(&lab.client, 262), (&lab.web, 60)] {
        for _ in 0..count {
            // Those beyond a limit are refused, which is what this is about.
            if let Ok(chat) = pod.chat(lab.server.at4(7)).await {
                lab.keep(chat);
            }
        }
    }
    Ok(())
}

/// Connections to the waypoint's port that say nothing.
pub(crate) async fn stalled_handshakes(lab: &Lab) -> anyhow::Result<()> {
    lab.let_go();
    let open = format!("exec {{fd}}<>/dev/tcp/{}/15008", lab.waypoint.ip4());
    again(&lab.stray, 1, "1", &format!("bash -c 'for i in $(seq 60); do {open}; done; sleep 2'"))
}

/// The authorizer dies.
pub(crate) async fn dead_authorizer(lab: &Lab) -> anyhow::Result<()> {
    lab.take_authorizer().context("it ran")?.kill().await?;
    Ok(())
}

/// A route to a service that is not there, and nobody to refuse requests before.
pub(crate) async fn no_backend(lab: &Lab) -> anyhow::Result<()> {
    lab.mesh.remove("AuthorizationPolicy", "shop", "ask")?;
    lab.mesh.remove("RequestAuthentication", "shop", "jwt")?;
    let rules = json!([{"backendRefs": [{"name": "nobody", "port": 80}]}]);
    lab.mesh.apply(&http_route(("shop", "nowhere"), "store", &rules))?;
    again(&lab.web, 2, "0.05", "curl -s -o /dev/null --max-time 5 http://store/orders")
}

/// A node whose credential is no good any more.
pub(crate) async fn lost_credential(lab: &Lab) -> anyhow::Result<()> {
    let file = lab.mesh.node("node-a")?.credential();
    let good = fs::read(&file)?;
    fs::write(&file, "e30.e30.e30")?;
    let fresh = lab.mesh.pod("lab/fresh").on("node-a").enrolled().await?;
    again(&fresh, 4, "0.2", &talk("server", 7))?;
    for _ in 0..6 {
        let stranger = || Token::Text("e30.e30.e30".into());
        let authority = CaClient::new(caller(&lab.mesh, stranger())?);
        let certificate = authority.fetch(&fresh.identity().parse()?, true, HOUR).await;
        ensure!(certificate.is_err(), "a stranger has a certificate");
        ensure!(Client::open(&lab.mesh, stranger()).await.is_err(), "a stranger listens");
    }
    let node = lab.mesh.node("node-a")?.ztunnel();
    eventually("connections fail without a certificate", PATIENCE, async || {
        let flag = [("response_flags", "IDENTITY_ERROR")];
        let metrics = node.metrics().await.unwrap_or_default();
        metrics.sum("istio_tcp_connections_failed_total", &flag) > 4.0
    })
    .await?;
    fs::write(&file, good)?;
    Ok(())
}

/// A proxy that does not understand what it gets.
pub(crate) async fn rejecting_client(lab: &Lab) -> anyhow::Result<()> {
    let mut client = Client::own(&lab.mesh).await?;
    let response = client.next().await?;
    let rejection = DeltaDiscoveryRequest {
        type_url: POLICIES.to_owned(),
        response_nonce: response.nonce,
        error_detail: Some(RpcStatus {
            code: 3,
            message: "not understood".to_owned(),
            ..RpcStatus::default()
        }),
        ..DeltaDiscoveryRequest::default()
    };
    client.requests.send(rejection).await?;
    eventually("control counts it", PATIENCE, async || {
        let metrics = lab.mesh.control().metrics().await.unwrap_or_default();
        metrics.sum("ambit_xds_responses_rejected_total", &[]) > 0.0
    })
    .await?;
    Ok(())
}

/// A proxy that never acknowledges.
pub(crate) async fn silent_client(lab: &Lab) -> anyhow::Result<()> {
    let mut client = Client::own(&lab.mesh).await?;
    client.next().await?;
    let end = client.next().await;
    ensure!(end.is_err(), "it is not cut: {end:?}");
    Ok(())
}

/// A node whose ztunnel does not start, with pods that want to be in the mesh.
pub(crate) async fn no_ztunnel(lab: &Lab) -> anyhow::Result<()> {
    lab.no_ztunnel_on("node-b")?;
    lab.server.ztunnel()?.kill()?;
    lab.mesh.enrol(lab.late.namespace())?;
    // The container runtime would not start this one.
    ensure!(lab.mesh.pod("lab/held").on("node-b").await.is_err(), "it is captured");
    Ok(())
}

/// The node's agent dies as well.
pub(crate) async fn no_agent(lab: &Lab) -> anyhow::Result<()> {
    Ok(lab.mesh.node("node-b")?.kill().await?)
}

/// Nobody is left to start the waypoint again.
pub(crate) async fn no_waypoint(lab: &Lab) -> anyhow::Result<()> {
    let processes = lab.waypoint.netns().processes();
    ensure!(!processes.is_empty(), "it ran");
    for pid in processes {
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    }
    Ok(())
}

/// Control dies, and nobody renews a certificate.
pub(crate) async fn no_control(lab: &Lab) -> anyhow::Result<()> {
    lab.mesh.control().kill().await?;
    let (node, identity) = (lab.client.ztunnel()?, lab.client.identity());
    let of = [("identity", identity.as_str())];
    eventually("a certificate is in its last quarter", LIFE, async || {
        let metrics = node.metrics().await.unwrap_or_default();
        let at =
            |name: &str| metrics.sum(&format!("ambit_certificate_{name}_timestamp_seconds"), &of);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        (at("expiry") - now) / (at("expiry") - at("start")) < 0.25
    })
    .await?;
    Ok(())
}

/// A ztunnel starts while there is no control.
pub(crate) async fn new_ztunnel(lab: &Lab) -> anyhow::Result<()> {
    Ok(lab.client.ztunnel()?.kill()?)
}
