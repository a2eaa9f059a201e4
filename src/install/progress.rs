//! Until everything is ready.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;

use super::bundle::{self, Bundle};
use super::target::Target;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Waits until each program runs as it was applied, and says which came.
///
/// # Errors
/// What is missing after `limit`, with where to look.
pub(super) async fn ready(target: &Target, bundle: &Bundle, limit: Duration) -> anyhow::Result<()> {
    let programs = bundle.objects().iter().filter(|object| is_program(object));
    let mut missing: Vec<&Value> = programs.collect();
    let began = Instant::now();
    let mut said = BTreeSet::new();
    loop {
        let mut lacks = Vec::new();
        let mut still = Vec::new();
        for object in missing {
            let live = target.live(object).await?;
            let live = serde_json::to_value(live)?;
            match lack(&live) {
                None => println!("ready     {}", bundle::name(object)),
                Some(what) => {
                    let line = format!("{}: {what}", bundle::name(object));
                    if said.insert(line.clone()) {
                        println!("waiting   {line}");
                    }
                    lacks.push(line);
                    still.push(object);
                }
            }
        }
        missing = still;
        if missing.is_empty() {
            return Ok(());
        }
        if began.elapsed() > limit {
            bail!(
                "not ready after {} s:\n  {}\nlook at kubectl get events -n {}",
                limit.as_secs(),
                lacks.join("\n  "),
                bundle::NAMESPACE
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn is_program(object: &Value) -> bool {
    matches!(object["kind"].as_str(), Some("Deployment" | "DaemonSet"))
}

/// What a Deployment or DaemonSet lacks until it is as it was applied.
fn lack(live: &Value) -> Option<String> {
    let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_u64);
    if number("/status/observedGeneration") != number("/metadata/generation") {
        return Some("not looked at yet".to_owned());
    }
    let status = |name: &str| number(&format!("/status/{name}")).unwrap_or_default();
    let (wanted, updated, ready) = if live["kind"] == "DaemonSet" {
        ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady")
    } else {
        ("replicas", "updatedReplicas", "readyReplicas")
    };
    let wanted = number("/spec/replicas").unwrap_or(status(wanted));
    let (updated, ready) = (status(updated), status(ready));
    // A DaemonSet of a cluster whose nodes it may not use is ready with nothing.
    (updated < wanted || ready < wanted).then(|| format!("{ready} of {wanted} ready"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_program_is_ready_when_all_of_it_is_new_and_ready() {
        let daemon = |observed: u64, updated: u64, ready: u64| {
            json!({"kind": "DaemonSet", "metadata": {"generation": 2}, "status": {
                "observedGeneration": observed, "desiredNumberScheduled": 2,
                "updatedNumberScheduled": updated, "numberReady": ready}})
        };
        assert_eq!(lack(&daemon(2, 2, 2)), None);
        assert!(lack(&daemon(1, 2, 2)).is_some(), "the state of before");
        assert!(lack(&daemon(2, 1, 2)).is_some(), "one is old");
        assert_eq!(lack(&daemon(2, 2, 1)).as_deref(), Some("1 of 2 ready"));
        let deployment = json!({"kind": "Deployment", "metadata": {"generation": 1},
            "spec": {"replicas": 2}, "status": {"observedGeneration": 1}});
        assert_eq!(lack(&deployment).as_deref(), Some("0 of 2 ready"));
    }
}
