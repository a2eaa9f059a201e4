//! `ambit enroll` and `ambit unenroll`: the label, where it is written.
//!
//! - [`edit`]: a label in a manifest
//! - [`change`]: a label of an object, in a cluster or in files

pub(crate) mod change;
mod edit;

use std::time::{Duration, Instant};

use clap::Args;
use hbone::label::DATAPLANE_MODE;

use crate::failed;
use crate::failure::{Failure, Outcome};
use crate::mesh::{Mesh, Objects, Where};
use crate::status::{self, PodRow, Proof};
use crate::terminal::{clean, progress};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// Whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// NAMESPACE, or NAMESPACE/POD for one pod
    #[arg(value_name = "NAMESPACE[/POD]")]
    target: String,

    /// Seconds until it must be so; 0 waits for nothing
    #[arg(long, default_value_t = 30)]
    wait: u64,

    #[command(flatten)]
    place: Where,
}

/// A namespace, or one of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    namespace: String,
    pod: Option<String>,
}

impl Target {
    fn parse(text: &str) -> Result<Self, Failure> {
        let mut parts = text.split('/');
        let (namespace, pod) = (parts.next().unwrap_or_default(), parts.next());
        if namespace.is_empty() || pod == Some("") || parts.next().is_some() {
            return Err(Failure::Usage(format!(
                "'{text}' is neither a namespace nor a pod; write NAMESPACE or NAMESPACE/POD"
            )));
        }
        Ok(Self { namespace: namespace.to_owned(), pod: pod.map(str::to_owned) })
    }

    /// That there is such a thing.
    fn check(&self, objects: &Objects) -> Result<(), Failure> {
        let Self { namespace, pod } = self;
        if !objects.all.iter().any(|object| {
            object.namespace() == namespace
                || (object.kind() == "Namespace" && object.name() == namespace)
        }) {
            let known: Vec<&str> =
                objects
                    .all
                    .iter()
                    .map(|object| {
                        if object.kind() == "Namespace" {
                            object.name()
                        } else {
                            object.namespace()
                        }
                    })
                    .filter(|name| !name.is_empty())
                    .collect();
            return Err(Failure::unknown("namespace", namespace, known));
        }
        let Some(pod) = pod else { return Ok(()) };
        if objects.find("Pod", namespace, pod).is_none() {
            let keys: Vec<String> = objects.of("Pod").map(crate::mesh::Object::key).collect();
            let wanted = format!("{namespace}/{pod}");
            return Err(Failure::unknown("pod", &wanted, keys.iter().map(String::as_str)));
        }
        Ok(())
    }

    fn has(&self, row: &PodRow) -> bool {
        row.namespace == self.namespace && self.pod.as_ref().is_none_or(|pod| *pod == row.name)
    }
}

/// Enrols.
///
/// # Errors
/// If there is no such thing, it may not be changed, or it does not come true in time.
pub(crate) async fn enroll(options: &Options) -> Result<Outcome, Failure> {
    let target = Target::parse(&options.target)?;
    let mesh = options.place.find().await?;
    let objects = mesh.objects().await?;
    target.check(&objects)?;
    set(&mesh, &objects, &target, Some("ambient")).await?;
    wait(&mesh, &target, options.wait, true).await
}

/// Takes out.
///
/// # Errors
/// As [`enroll`].
pub(crate) async fn unenroll(options: &Options) -> Result<Outcome, Failure> {
    let target = Target::parse(&options.target)?;
    let mesh = options.place.find().await?;
    let objects = mesh.objects().await?;
    target.check(&objects)?;
    let inherited = objects.find("Namespace", "", &target.namespace);
    let inherited = inherited.and_then(|namespace| namespace.label(DATAPLANE_MODE));
    // Where the namespace's label would enrol it again, the pod says no itself.
    let value = (target.pod.is_some() && inherited == Some("ambient")).then_some("none");
    set(&mesh, &objects, &target, value).await?;
    wait(&mesh, &target, options.wait, false).await
}

async fn set(
    mesh: &Mesh,
    objects: &Objects,
    target: &Target,
    value: Option<&str>,
) -> Result<(), Failure> {
    let (kind, namespace, name) = match &target.pod {
        None => ("Namespace", "", &target.namespace),
        Some(pod) => ("Pod", target.namespace.as_str(), pod),
    };
    let said = change::label(mesh, objects, (kind, namespace, name), DATAPLANE_MODE, value).await?;
    println!("{}", clean(&said));
    if target.pod.is_some() && mesh.cluster().is_some() {
        crate::warn(
            "a label of a pod is gone with the pod; write it into the pod template to keep it",
        );
    }
    Ok(())
}

/// Waits until the pods are as their labels say.
async fn wait(
    mesh: &Mesh,
    target: &Target,
    seconds: u64,
    enrolled: bool,
) -> Result<Outcome, Failure> {
    if seconds == 0 {
        return Ok(Outcome::Fine);
    }
    let began = Instant::now();
    let limit = Duration::from_secs(seconds);
    let looking = async {
        loop {
            let standing = status::look(mesh).await?;
            let pods: Vec<PodRow> =
                standing.pods.into_iter().filter(|pod| target.has(pod)).collect();
            let lacks: Vec<String> = pods.iter().filter_map(|pod| lack(pod, enrolled)).collect();
            if lacks.is_empty() {
                return Ok(pods);
            }
            if began.elapsed() > limit {
                return Err(failed!(
                    "not so after {seconds} s:\n  {}\nlook at `ambit check -n {}`",
                    lacks.join("\n  "),
                    target.namespace
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let pods = progress::during("the nodes follow", looking).await?;
    let count = pods.iter().filter(|pod| pod.wanted == enrolled && pod.state != "waypoint").count();
    let took = began.elapsed().as_secs_f64();
    let what = if enrolled { "enrolled and proven" } else { "not in the mesh" };
    println!("{count} pods {what} after {took:.1} s");
    let others = pods.iter().filter(|pod| pod.wanted != enrolled && pod.state != "waypoint");
    for pod in others.filter(|pod| pod.label == "pod") {
        let Some(label) = Some(&pod.name) else { continue };
        crate::warn(&format!("{}/{label} has a label of its own, which wins", pod.namespace));
    }
    Ok(Outcome::Fine)
}

/// What a pod lacks until it is as its label says; none for one whose own label says otherwise.
fn lack(pod: &PodRow, enrolled: bool) -> Option<String> {
    if pod.state == "waypoint" {
        return None;
    }
    let name = format!("{}/{}", pod.namespace, pod.name);
    if pod.wanted != enrolled {
        // Until control has read the label; a label of the pod's own is final.
        return (pod.label != "pod").then(|| format!("{name}: control has not read the label yet"));
    }
    if !enrolled {
        return (pod.state == "enrolled").then(|| format!("{name}: still captured"));
    }
    match (&pod.proof, pod.state) {
        (Proof::Proven, "enrolled") => None,
        (Proof::Unproven(why) | Proof::Unknown(why), "enrolled") => Some(format!("{name}: {why}")),
        (_, state) => Some(format!("{name}: {state}: {}", pod.reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_namespace_or_a_pod() {
        for (text, want) in [
            ("shop", Some(("shop", None))),
            ("shop/web", Some(("shop", Some("web")))),
            ("shop/", None),
            ("/web", None),
            ("a/b/c", None),
            ("", None),
        ] {
            let found = Target::parse(text).ok();
            let found = found.as_ref().map(|t| (t.namespace.as_str(), t.pod.as_deref()));
            assert_eq!(found, want, "{text:?}");
        }
    }

    #[test]
    fn a_pod_lacks_what_its_label_asks_for() {
        let pod = |label: &str, wanted, state, proof| PodRow {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            label: label.to_owned(),
            wanted,
            state,
            proof,
            ..PodRow::default()
        };
        for (case, pod, enrolled, want) in [
            ("so it is", pod("namespace", true, "enrolled", Proof::Proven), true, None),
            (
                "not read yet",
                pod("", false, "not enrolled", Proof::Nothing),
                true,
                Some("has not read"),
            ),
            ("its own label", pod("pod", false, "not enrolled", Proof::Nothing), true, None),
            (
                "unproven",
                pod("namespace", true, "enrolled", Proof::Unproven("no cert".into())),
                true,
                Some("no cert"),
            ),
            ("captured", pod("", false, "enrolled", Proof::Nothing), false, Some("still captured")),
            ("out", pod("", false, "not enrolled", Proof::Nothing), false, None),
        ] {
            let found = lack(&pod, enrolled);
            let fits = match want {
                None => found.is_none(),
                Some(part) => found.as_deref().is_some_and(|found| found.contains(part)),
            };
            assert!(fits, "{case}: {found:?}");
        }
    }
}
