//! `ambit install`, `ambit upgrade`, `ambit uninstall`: Ambit in a Kubernetes cluster.
//!
//! - [`bundle`]: the manifests that this program carries
//! - [`target`]: the cluster, and how objects come and go there
//! - [`preflight`]: what must be so before
//! - [`diff`]: what would change
//! - [`progress`]: until everything is ready
//! - [`removal`]: the way back

mod bundle;
mod diff;
pub(crate) mod preflight;
mod progress;
mod removal;
mod target;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use self::bundle::Bundle;
use self::target::Target;
use crate::mesh::cluster;

/// Which cluster.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// How to reach the cluster; without it, as kubectl does
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig
    #[arg(long)]
    context: Option<String>,
}

/// How to install.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,

    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Where the images come from: PREFIX/control, PREFIX/ztunnel and so on
    #[arg(long, default_value = bundle::IMAGES)]
    images: String,

    /// Tag of the images
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    tag: String,

    /// Leave out the definitions of policies: another mesh of this cluster brought them
    #[arg(long)]
    no_definitions: bool,

    /// Seconds until everything must be ready; 0 waits for nothing
    #[arg(long, default_value_t = 180)]
    wait: u64,
}

/// How to remove.
#[derive(Debug, Args)]
pub(crate) struct RemovalOptions {
    #[command(flatten)]
    place: Place,

    /// Remove it although namespaces or pods are enrolled: what is captured then stays cut off
    /// until its pods are started again
    #[arg(long)]
    force: bool,

    /// Remove the definitions of policies too, and with them every policy
    #[arg(long)]
    definitions: bool,
}

/// Whether a cluster can take Ambit, and how the cluster is called. Changes nothing.
///
/// # Errors
/// If it cannot be looked at.
pub(crate) async fn preflight(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> anyhow::Result<(String, preflight::Found)> {
    let cluster = cluster::connect(kubeconfig, context).await?;
    let name = cluster.name().to_owned();
    let bundle = Bundle::read(bundle::IMAGES, env!("CARGO_PKG_VERSION"), true)?;
    let found = preflight::look(&Target::of(&cluster), &bundle).await?;
    Ok((name, found))
}

/// Installs; `upgrade` wants that it is there already.
///
/// # Errors
/// What stands in the way, and what would be right.
pub(crate) async fn run(options: &Options, upgrade: bool) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let target = Target::connect(&options.place).await?;
    let bundle = Bundle::read(&options.images, &options.tag, !options.no_definitions)?;
    let found = preflight::look(&target, &bundle).await?;
    for warning in &found.warnings {
        eprintln!("note: {warning}");
    }
    if !found.obstacles.is_empty() {
        bail!("not installed, nothing was changed:\n  {}", found.obstacles.join("\n  "));
    }
    match (upgrade, found.installed) {
        (true, false) => bail!("Ambit is not in this cluster; run ambit install"),
        (false, true) => eprintln!("note: Ambit is there already; bringing it to this version"),
        _ => {}
    }
    if options.dry_run {
        let changes = diff::show(&target, &bundle).await?;
        println!("{changes} objects would change; nothing was changed");
        return Ok(ExitCode::SUCCESS);
    }
    for object in bundle.objects() {
        let said = target.apply(object).await;
        let done = said.with_context(|| format!("{} was not applied", bundle::name(object)))?;
        println!("{done} {}", bundle::name(object));
    }
    if options.wait > 0 {
        progress::ready(&target, &bundle, Duration::from_secs(options.wait)).await?;
        println!("Ambit is ready after {:.0} s", began.elapsed().as_secs_f64());
    }
    println!("next: kubectl label namespace NAMESPACE istio.io/dataplane-mode=ambient");
    Ok(ExitCode::SUCCESS)
}

/// Uninstalls.
///
/// # Errors
/// What stands in the way, and what would be right.
pub(crate) async fn uninstall(options: &RemovalOptions) -> anyhow::Result<ExitCode> {
    let target = Target::connect(&options.place).await?;
    let bundle = Bundle::read(bundle::IMAGES, env!("CARGO_PKG_VERSION"), options.definitions)?;
    let enrolled = removal::enrolled(&target).await?;
    if !enrolled.is_empty() && !options.force {
        bail!(
            "still enrolled, and nothing was changed:\n  {}\n\
             take the label istio.io/dataplane-mode off first, or give --force",
            enrolled.join("\n  ")
        );
    }
    removal::remove(&target, &bundle).await?;
    println!("Ambit is gone from this cluster");
    Ok(ExitCode::SUCCESS)
}
