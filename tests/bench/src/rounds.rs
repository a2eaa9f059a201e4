//! The order of everything: memory first, while nothing has been under load, then rounds in
//! which every subject has its turn at every measurement.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use testbed::Testbed;

use crate::measure::{Measurement, idle_memory};
use crate::report::BASE;
use crate::results::{Metric, Results};
use crate::subject::Subject;
use crate::subject::mesh::{ControlPlane, Ztunnel};
use crate::subject::template::Other;
use crate::subject::waypoint;
use crate::{chain, memory};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Rounds.
    pub rounds: usize,
    /// Length of one measurement.
    pub duration: Duration,
    /// Idle connections for the memory of each.
    pub idle_connections: usize,
    /// Other subjects by name.
    pub others: Vec<(String, Other)>,
    /// Only measurements whose name contains this.
    pub only: Option<String>,
    /// An Envoy to run in each pod, for its memory.
    pub sidecar: Option<PathBuf>,
}

impl Plan {
    fn wants(&self, measurement: &str) -> bool {
        self.only.as_ref().is_none_or(|part| measurement.contains(part))
    }
}

/// Runs the plan; returns the names of the subjects and the results. `say` hears of progress.
///
/// # Errors
/// If the testbed or our own mesh does not start. What fails of another subject, or later, is
/// among the results.
pub async fn run(
    bed: &Testbed,
    plan: &Plan,
    say: &dyn Fn(&str),
) -> anyhow::Result<(Vec<String>, Results)> {
    let mut results = Results::default();
    say("starting control");
    let control = ControlPlane::start(bed).await?;
    let ours = Ztunnel::ours()?;
    let mut meshes = vec![("ambit".to_owned(), ours)];
    let mut subjects = vec![Subject::direct(bed)?];
    for (name, other) in &plan.others {
        match other {
            Other::Ztunnel(ztunnel) => meshes.push((name.clone(), ztunnel.clone())),
            Other::Template(template) => {
                let subject = Subject::template(bed, name, template);
                subjects.push(subject.with_context(|| name.clone())?);
            }
        }
    }
    for (name, ztunnel) in &meshes {
        say(&format!("starting {name}"));
        let subject = Subject::mesh(bed, &control, name, ztunnel).await;
        subjects.push(subject.with_context(|| name.clone())?);
    }
    say(&format!("starting {}", waypoint::NAME));
    subjects.push(Subject::waypoint(bed, &control).await.context(waypoint::NAME)?);
    for subject in &subjects {
        subject.ready().await?;
    }
    idle(plan, &subjects, &mut results, say).await;
    for round in 0..plan.rounds {
        load(plan, &subjects, round, &mut results, say).await;
    }
    let names = names(&subjects, plan);
    drop(subjects);
    if plan.wants(chain::NAME) {
        chains(bed, plan, &control, &meshes, &mut results, say).await?;
    }
    if plan.wants(memory::NAME) {
        nodes(bed, plan, &control, &meshes, &mut results, say).await;
    }
    Ok((names, results))
}

fn names(subjects: &[Subject], plan: &Plan) -> Vec<String> {
    let mut names: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
    names.extend(plan.sidecar.as_ref().map(|_| memory::SIDECARS.to_owned()));
    names
}

async fn idle(plan: &Plan, subjects: &[Subject], results: &mut Results, say: &dyn Fn(&str)) {
    let name = "memory, idle";
    if !plan.wants(name) {
        return;
    }
    for subject in subjects.iter().filter(|subject| !subject.programs.is_empty()) {
        say(&format!("{name}: {}", subject.name));
        if let Err(error) = idle_memory(subject, plan.idle_connections, results).await {
            results.fail(&subject.name, name, &error);
        }
    }
}

async fn load(
    plan: &Plan,
    subjects: &[Subject],
    round: usize,
    results: &mut Results,
    say: &dyn Fn(&str),
) {
    for measurement in Measurement::ALL {
        let name = measurement.name();
        if !plan.wants(&name) {
            continue;
        }
        say(&format!("round {} of {}: {name}", round + 1, plan.rounds));
        // A different one begins each round: nobody always comes after the same.
        let (late, early) = subjects.split_at(round % subjects.len());
        for subject in early.iter().chain(late) {
            match measurement.run(subject, plan.duration).await {
                Ok(measured) => measured.note(results, round, subject),
                Err(error) => results.fail(&subject.name, &name, &error),
            }
        }
        if matches!(measurement, Measurement::Exchange(1) | Measurement::Http(1)) {
            added(subjects, &name, round, results);
        }
    }
}

/// What each subject adds to the base's p50.
fn added(subjects: &[Subject], measurement: &str, round: usize, results: &mut Results) {
    let p50 = Metric::new(measurement, "p50", "us");
    let of = |results: &Results, name: &str| {
        results.samples(&p50, name).iter().find(|s| s.round == round).map(|s| s.value)
    };
    let Some(base) = of(results, BASE) else { return };
    for subject in subjects.iter().filter(|subject| subject.name != BASE) {
        if let Some(value) = of(results, &subject.name) {
            let metric = Metric::new(measurement, "added to p50", "us");
            results.add(round, &subject.name, metric, value - base);
        }
    }
}

async fn chains(
    bed: &Testbed,
    plan: &Plan,
    control: &ControlPlane,
    meshes: &[(String, Ztunnel)],
    results: &mut Results,
    say: &dyn Fn(&str),
) -> anyhow::Result<()> {
    let mut subjects = vec![chain::build(bed, BASE, None).await?];
    for (name, ztunnel) in meshes {
        subjects.push(chain::build(bed, name, Some((control, ztunnel))).await?);
    }
    for subject in &subjects {
        subject.ready().await?;
    }
    for round in 0..plan.rounds {
        say(&format!("round {} of {}: {}", round + 1, plan.rounds, chain::NAME));
        for subject in &subjects {
            match Measurement::Exchange(1).run(subject, plan.duration).await {
                Ok(measured) => measured.note_as(chain::NAME, results, round, subject),
                Err(error) => results.fail(&subject.name, chain::NAME, &error),
            }
        }
        added(&subjects, chain::NAME, round, results);
    }
    Ok(())
}

async fn nodes(
    bed: &Testbed,
    plan: &Plan,
    control: &ControlPlane,
    meshes: &[(String, Ztunnel)],
    results: &mut Results,
    say: &dyn Fn(&str),
) {
    for (name, ztunnel) in meshes {
        say(&format!("{}: {name}", memory::NAME));
        if let Err(error) = memory::ztunnel(bed, control, name, ztunnel, results).await {
            results.fail(name, memory::NAME, &error);
        }
    }
    if let Some(program) = &plan.sidecar {
        say(&format!("{}: {}", memory::NAME, memory::SIDECARS));
        if let Err(error) = memory::envoy(bed, program, results).await {
            results.fail(memory::SIDECARS, memory::NAME, &error);
        }
    }
}
