//! Control and proxies: that they are there, answer, are ready, connected, and of one version.

use http::Method;

use super::finding::{Finding, Severity};
use crate::mesh::control::MeshDump;
use crate::mesh::member::Facts;
use crate::mesh::{self, Kind, Member, Mesh, Object, Objects, page};
use crate::version::OURS;

/// That there is no mesh.
pub(super) fn none(mesh: &Mesh) -> Finding {
    let fix = match mesh.cluster() {
        Some(_) => "run ambit install",
        None => "start control and, on each node, ambit node; docs/operations.md says how",
    };
    Finding::new(Severity::Error, "no-mesh", mesh.name(), "no process of a mesh runs here", fix)
}

/// What is wrong with the processes.
pub(super) async fn of(members: &[Member], objects: &Objects) -> Vec<Finding> {
    let mut findings = Vec::new();
    let controls: Vec<&Member> = members.iter().filter(|one| one.kind == Kind::Control).collect();
    let alone = members.len() == 1 && controls.is_empty();
    if controls.is_empty() && !alone {
        findings.push(Finding::new(
            Severity::Error,
            "control-missing",
            "control",
            "no control plane runs; what proxies know grows stale, and certificates end",
            "start control, or look at kubectl get pods -n ambit-system",
        ));
    }
    for control in controls {
        findings.extend(ready(control).await);
    }
    if !alone {
        findings.extend(nodes(members, objects));
    }
    let answers = mesh::ask_all(members.to_vec(), async |one| one.facts().await).await;
    let mut versions = Vec::new();
    for (member, answer) in &answers {
        match answer {
            Ok(facts) => {
                findings.extend(disconnected(member, facts));
                versions.extend(facts.version.clone().map(|version| (member, version)));
            }
            Err(error) => findings.push(unreachable(member, error)),
        }
    }
    for (member, version) in versions.iter().filter(|(_, version)| version != OURS) {
        let problem = format!("it is version {version}, and this command is {OURS}");
        let fix =
            "bring the mesh to one version: ambit upgrade, or the same program on each machine";
        let found = Finding::new(Severity::Warning, "version-skew", member.title(), problem, fix);
        findings.push(found.on(&member.node));
    }
    findings
}

/// Machines that control has not heard of for too long.
pub(super) fn silent(dump: &MeshDump) -> Vec<Finding> {
    let silent = dump.nodes.iter().filter(|node| node.silent);
    silent
        .map(|node| {
            Finding::new(
                Severity::Error,
                "node-silent",
                format!("Node {}", node.name),
                "control has not heard of its agent for longer than the grace",
                "start ambit node there, or see why it cannot reach control at port 15012",
            )
            .on(&node.name)
        })
        .collect()
}

async fn ready(control: &Member) -> Option<Finding> {
    if control.away.is_some() {
        return None;
    }
    match page::ask(&control.admin, Method::GET, "/ready").await {
        Ok(page) if page.status == 200 => None,
        Ok(page) => Some(Finding::new(
            Severity::Error,
            "control-not-ready",
            control.title(),
            page.text().trim().to_owned(),
            "write the first object into its directory, or see in its log why the API server is not read",
        )),
        // Said once, where its metrics do not answer either.
        Err(_) => None,
    }
}

fn unreachable(member: &Member, error: &anyhow::Error) -> Finding {
    let (id, fix) = match member.kind {
        Kind::Control => ("control-unreachable", "see whether it runs, and its log"),
        Kind::Ztunnel => (
            "ztunnel-unreachable",
            "see its log: without it the pods of its node are cut off; it is restarted by its supervisor",
        ),
        Kind::Waypoint => {
            ("waypoint-unreachable", "see its log; another instance serves meanwhile")
        }
    };
    Finding::new(Severity::Error, id, member.title(), format!("{error:#}"), fix).on(&member.node)
}

fn disconnected(member: &Member, facts: &Facts) -> Option<Finding> {
    let id = match member.kind {
        Kind::Ztunnel => "ztunnel-disconnected",
        Kind::Waypoint => "waypoint-disconnected",
        Kind::Control => return None,
    };
    (facts.connected == Some(false)).then(|| {
        Finding::new(
            Severity::Error,
            id,
            member.title(),
            "it is not connected to control: what it knows grows stale, and certificates end",
            "see its log for why; control listens at port 15012 with TLS",
        )
        .on(&member.node)
    })
}

/// Nodes of the mesh on which no ztunnel runs.
fn nodes(members: &[Member], objects: &Objects) -> Vec<Finding> {
    let has = |node: &str| {
        members.iter().any(|member| member.kind == Kind::Ztunnel && member.node == node)
    };
    let is_linux = |node: &&Object| node.label("kubernetes.io/os").is_none_or(|os| os == "linux");
    let without = objects.of("Node").filter(is_linux).filter(|node| !has(node.name()));
    without
        .map(|node| {
            Finding::new(
                Severity::Error,
                "node-without-ztunnel",
                node.title(),
                "no ztunnel runs on it: its pods cannot take part",
                "start ambit node there; in a cluster see kubectl describe daemonset -n ambit-system ambit-ztunnel",
            )
            .on(node.name())
        })
        .collect()
}
