//! `ambit status`: who takes part, by which label, on which node, proven or not.
//!
//! *Captured* is what the node's agent says: the pod's traffic is redirected. *Proven* is what
//! its ztunnel shows: it listens in the pod and holds a certificate of the pod's identity. Both
//! are needed; each is asked separately.

use std::collections::BTreeMap;

use clap::Args;
use hbone::label;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::mesh::control::{MeshDump, Pod};
use crate::mesh::dump::ProxyDump;
use crate::mesh::{self, Kind, Mesh, Objects, Where};
use crate::terminal::{Cell, Column, Listing, Show, Style, Table, clean};

/// What to show.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    show: Show,
}

/// `-o json`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standing {
    pub(crate) mesh: String,
    pub(crate) namespaces: Vec<NamespaceRow>,
    pub(crate) pods: Vec<PodRow>,
    /// Proxies that did not answer: what they would prove is unknown.
    pub(crate) silent: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamespaceRow {
    pub(crate) namespace: String,
    /// The value of its label `istio.io/dataplane-mode`, or empty.
    pub(crate) label: String,
    /// Pods, those that take part by label, those that are captured, those that are proven.
    pub(crate) pods: usize,
    pub(crate) wanted: usize,
    pub(crate) enrolled: usize,
    pub(crate) proven: usize,
    /// The waypoint that its label names, or empty.
    pub(crate) waypoint: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodRow {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) identity: String,
    /// Whose label decides: `pod`, `namespace` or empty.
    pub(crate) label: String,
    /// It takes part, by its labels.
    pub(crate) wanted: bool,
    /// `enrolled`, `pending`, `failed`, `not enrolled`, `waypoint`, `unknown`.
    pub(crate) state: &'static str,
    pub(crate) reason: String,
    pub(crate) proof: Proof,
    /// Connections that are older than the enrolment, and not in the mesh.
    pub(crate) older_connections: u64,
}

/// Whether the pod's ztunnel shows that it serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "is", content = "why")]
pub(crate) enum Proof {
    /// It listens there and has the certificate.
    Proven,
    /// It does not, and why.
    Unproven(String),
    /// Nobody can tell, and why.
    Unknown(String),
    /// There is nothing to prove: the pod takes no part.
    #[default]
    Nothing,
}

/// Shows it.
///
/// # Errors
/// If neither control nor the objects can be read.
pub(crate) async fn run(options: &Options) -> Result<Outcome, Failure> {
    let mesh = options.place.find().await?;
    let mut standing = look(&mesh).await?;
    if let Some(only) = mesh.namespaces.only()
        && !standing.namespaces.iter().any(|row| row.namespace == only)
    {
        let known = standing.namespaces.iter().map(|row| row.namespace.as_str());
        return Err(Failure::unknown("namespace", only, known));
    }
    standing.pods.retain(|pod| mesh.namespaces.has(&pod.namespace));
    standing.namespaces.retain(|row| mesh.namespaces.has(&row.namespace));
    options.show.print(&standing)?;
    Ok(if standing.silent.is_empty() { Outcome::Fine } else { Outcome::Partial })
}

/// How every pod stands.
///
/// # Errors
/// If neither control nor the objects can be read.
pub(crate) async fn look(mesh: &Mesh) -> Result<Standing, Failure> {
    let objects = mesh.objects().await;
    let mut silent = Vec::new();
    let dump = match mesh.control_dump().await {
        Ok(dump) => dump,
        Err(failure) => {
            // Without control the labels still tell who should take part.
            let Ok(objects) = &objects else { return Err(failure) };
            silent.push(failure.to_string());
            without_control(objects)
        }
    };
    let answers = mesh::ask_all(mesh.of(Kind::Ztunnel).await?, async |one| one.dump().await).await;
    let mut proxies = BTreeMap::new();
    for (member, answer) in answers {
        match answer {
            Ok(proxy) => drop(proxies.insert(member.node.clone(), proxy)),
            Err(error) => silent.push(format!("{error:#}")),
        }
    }
    let objects = objects.unwrap_or_default();
    let mut standing = Standing { mesh: mesh.name(), silent, ..Standing::default() };
    for pod in dump.pods.iter().filter(|pod| !pod.terminated) {
        standing.pods.push(row(pod, &objects, &proxies));
    }
    standing.namespaces = namespaces(&objects, &standing.pods);
    Ok(standing)
}

/// What control would say of pods, as far as labels tell.
fn without_control(objects: &Objects) -> MeshDump {
    let pods = objects.of("Pod").map(|pod| {
        let own = pod.label(label::DATAPLANE_MODE);
        let inherited = objects
            .find("Namespace", "", pod.namespace())
            .and_then(|namespace| namespace.label(label::DATAPLANE_MODE));
        let text = |path: &str| {
            pod.value.pointer(path).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
        };
        let whose = match (own, inherited) {
            (Some(_), _) => "pod",
            (None, Some(_)) => "namespace",
            (None, None) => "",
        };
        Pod {
            namespace: pod.namespace().to_owned(),
            name: pod.name().to_owned(),
            uid: text("/metadata/uid"),
            node: text("/spec/nodeName"),
            service_account: match text("/spec/serviceAccountName") {
                none if none.is_empty() => "default".to_owned(),
                account => account,
            },
            terminated: matches!(text("/status/phase").as_str(), "Succeeded" | "Failed"),
            enrol: label::takes_part(own, inherited) && pod.label(label::GATEWAY_NAME).is_none(),
            label: whose.to_owned(),
            waypoint: pod.label(label::GATEWAY_NAME).unwrap_or_default().to_owned(),
            ..Pod::default()
        }
    });
    MeshDump { pods: pods.collect(), ..MeshDump::default() }
}

fn row(pod: &Pod, objects: &Objects, proxies: &BTreeMap<String, ProxyDump>) -> PodRow {
    // In a cluster the node's word is an annotation of the pod.
    let object = objects.find("Pod", &pod.namespace, &pod.name);
    let said = object.and_then(|object| object.annotation(label::REDIRECTION));
    let state = match (pod.state.as_deref(), said) {
        _ if !pod.waypoint.is_empty() => "waypoint",
        (Some("Enrolled"), _) | (None, Some("enabled")) => "enrolled",
        (Some("Pending"), _) | (None, Some("pending")) => "pending",
        (Some("Failed"), _) => "failed",
        (None, None) if pod.enrol => "pending",
        _ => "not enrolled",
    };
    let reason = match (pod.reason.as_str(), state) {
        ("", "pending") => "its node has said nothing of it yet".to_owned(),
        (reason, _) => reason.to_owned(),
    };
    let mut row = PodRow {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        node: pod.node.clone(),
        identity: String::new(),
        label: pod.label.clone(),
        wanted: pod.enrol,
        state,
        reason,
        proof: Proof::Nothing,
        older_connections: pod.older_connections,
    };
    if pod.enrol {
        (row.proof, row.identity) = proof(pod, proxies);
    }
    row
}

/// Whether its node's ztunnel listens in a pod and has its certificate; and its identity.
fn proof(pod: &Pod, proxies: &BTreeMap<String, ProxyDump>) -> (Proof, String) {
    let Some(proxy) = proxies.get(&pod.node) else {
        let why = match pod.node.as_str() {
            "" => "it is on no node yet".to_owned(),
            node => format!("no ztunnel on {node} answers"),
        };
        return (Proof::Unknown(why), String::new());
    };
    let workload = proxy
        .workloads
        .iter()
        .find(|workload| workload.namespace == pod.namespace && workload.name == pod.name);
    let identity = workload.map(mesh::dump::Workload::identity).unwrap_or_default();
    let unproven = |why: &str| Proof::Unproven(why.to_owned());
    let proof = match proxy.workload_state.get(&pod.uid) {
        None => unproven("its ztunnel does not have it"),
        Some(state) if state.state != "Up" => unproven("its ztunnel does not listen in it yet"),
        Some(_) => match proxy.certificates.iter().find(|one| one.identity == identity) {
            Some(one) if one.state == "Available" => Proof::Proven,
            Some(one) => Proof::Unproven(format!("its certificate is {}", one.state)),
            None => unproven("its ztunnel has no certificate of it"),
        },
    };
    (proof, identity)
}

fn namespaces(objects: &Objects, pods: &[PodRow]) -> Vec<NamespaceRow> {
    let mut rows: BTreeMap<String, NamespaceRow> = BTreeMap::new();
    for namespace in objects.of("Namespace") {
        let text = |name| namespace.label(name).unwrap_or_default().to_owned();
        let row = rows.entry(namespace.name().to_owned()).or_default();
        row.label = text(label::DATAPLANE_MODE);
        row.waypoint = text("istio.io/use-waypoint");
    }
    for pod in pods {
        let row = rows.entry(pod.namespace.clone()).or_default();
        row.pods += usize::from(pod.state != "waypoint");
        row.wanted += usize::from(pod.wanted);
        row.enrolled += usize::from(pod.state == "enrolled");
        row.proven += usize::from(pod.proof == Proof::Proven);
    }
    let named = |(namespace, row)| NamespaceRow { namespace, ..row };
    rows.into_iter().map(named).collect()
}

impl Proof {
    pub(crate) fn cell(&self) -> Cell {
        match self {
            Self::Proven => Cell::styled("yes", Style::Good),
            Self::Unproven(_) => Cell::styled("no", Style::Bad),
            Self::Unknown(_) => Cell::styled("unknown", Style::Warning),
            Self::Nothing => Cell::default(),
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Unproven(why) | Self::Unknown(why) => why,
            Self::Proven | Self::Nothing => "",
        }
    }
}

impl Listing for Standing {
    fn table(&self) -> Table {
        let columns = [
            Column::text("NAMESPACE"),
            Column::text("POD"),
            Column::text("NODE"),
            Column::text("BY"),
            Column::text("STATE"),
            Column::text("PROVEN"),
            Column::number("OLDER").wide(),
            Column::text("IDENTITY").wide(),
            Column::text("REASON").wide(),
        ];
        let mut table = Table::new(&columns, "no pods");
        for pod in &self.pods {
            let style = match pod.state {
                "enrolled" => Style::Good,
                "pending" => Style::Warning,
                "failed" => Style::Bad,
                _ => Style::Dim,
            };
            let reasons = [pod.reason.as_str(), pod.proof.why()];
            let reasons: Vec<&str> = reasons.into_iter().filter(|why| !why.is_empty()).collect();
            table.row([
                pod.namespace.as_str().into(),
                pod.name.as_str().into(),
                pod.node.as_str().into(),
                match pod.label.as_str() {
                    "" => Cell::default(),
                    whose => format!("{whose} label").into(),
                },
                Cell::styled(pod.state, style),
                pod.proof.cell(),
                pod.older_connections.into(),
                pod.identity.as_str().into(),
                reasons.join("; ").into(),
            ]);
        }
        table
    }

    fn footer(&self) -> String {
        let mut text = String::from("\n");
        for row in &self.namespaces {
            let label = match row.label.as_str() {
                "" => "no label".to_owned(),
                value => format!("label {}={}", label::DATAPLANE_MODE, clean(value)),
            };
            let waypoint = match row.waypoint.as_str() {
                "" => String::new(),
                name => format!(", waypoint {}", clean(name)),
            };
            let NamespaceRow { namespace, pods, wanted, enrolled, proven, .. } = row;
            text += &format!(
                "namespace {}: {label}{waypoint}; {pods} pods, {wanted} wanted, {enrolled} \
                 enrolled, {proven} proven\n",
                clean(namespace)
            );
        }
        for pod in self.pods.iter().filter(|pod| matches!(pod.proof, Proof::Unproven(_))) {
            let why = if pod.reason.is_empty() { pod.proof.why() } else { &pod.reason };
            text += &format!("{}/{}: {}\n", clean(&pod.namespace), clean(&pod.name), clean(why));
        }
        for silent in &self.silent {
            text += &format!("no answer: {}\n", clean(silent));
        }
        text
    }
}
