//! `ambit demo`: a whole mesh on this machine, shown at work.
//!
//! - [`narrator`]: what the person in front of it sees
//! - [`stage`]: two nodes, the shop in its pods, the mesh
//! - [`scene`]: a file per scene; each proves what it says
//! - [`customer`]: the steady customer's tally
//! - [`kube_proxy`]: service addresses before there is a mesh
//! - [`bytes`]: bytes of the wire for the eye
//! - [`place`]: the directory of manifests and logs that a person can open
//! - [`epilogue`]: what to try while it stays up

mod bytes;
mod customer;
mod epilogue;
mod kube_proxy;
mod narrator;
mod place;
mod scene;
mod stage;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use testbed::sandbox::{self, Place as Side};
use tokio::signal::unix::{SignalKind, signal};

use narrator::Narrator;
use place::Place;
use scene::Scene;
use stage::Stage;

/// Exit status when a person or a signal ended the show before it was over, as shells count.
const INTERRUPTED: u8 = 130;

/// How the demo is shown.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// End after the last scene; the status is 0 only if every scene was verified
    #[arg(long)]
    once: bool,

    /// Show only this scene and those that it needs; may be given several times
    #[arg(long = "scene", value_name = "NAME")]
    scenes: Vec<Scene>,

    /// List the scenes and end
    #[arg(long)]
    list: bool,
}

/// How a show ended.
enum End {
    /// Every scene was verified.
    Verified,
    /// This one was not.
    Failed(Scene),
    /// A signal came first.
    Interrupted,
}

/// Runs the demo. Everything it starts has ended when it returns.
///
/// # Errors
/// If no sandbox can be made.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if options.list {
        for scene in Scene::ALL {
            println!("{:<10} {}", scene.name(), scene.title());
        }
        return Ok(ExitCode::SUCCESS);
    }
    match sandbox::enter("demo")? {
        Side::Outside(code) => return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        Side::Inside => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let end = runtime.block_on(show(options))?;
    Ok(match end {
        End::Verified => ExitCode::SUCCESS,
        End::Failed(_) => ExitCode::FAILURE,
        End::Interrupted => ExitCode::from(INTERRUPTED),
    })
}

async fn show(options: &Options) -> anyhow::Result<End> {
    let mut narrator = Narrator::new();
    let place = Place::create()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let signalled = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::pin!(signalled);
    // Dropped before the place is: programs must not write to what is gone.
    let mut stage = None;
    let mut end = tokio::select! {
        end = play(options, &mut narrator, &mut stage) => end?,
        () = &mut signalled => End::Interrupted,
    };
    if !options.once && !matches!(end, End::Interrupted) {
        if let Some(stage) = &stage {
            epilogue::tell(&mut narrator, stage, &place);
            signalled.await;
        }
    } else if matches!(end, End::Interrupted) {
        narrator.interrupted();
    }
    drop(stage);
    place.remove().context("the demo's directory")?;
    if let End::Failed(scene) = &mut end {
        narrator.note(&format!("Not verified: the scene \"{}\".", scene.name()));
    }
    Ok(end)
}

/// Plays the chosen scenes in their order, up to the first that is not verified.
async fn play(
    options: &Options,
    narrator: &mut Narrator,
    stage: &mut Option<Stage>,
) -> anyhow::Result<End> {
    let scenes = scene::chosen(&options.scenes);
    let began = Instant::now();
    narrator.opening();
    for (number, scene) in scenes.iter().enumerate() {
        narrator.scene(number + 1, scenes.len(), scene.name(), scene.title());
        let played = match stage {
            None => Stage::build(narrator).await.map(|built| *stage = Some(built)),
            Some(stage) => scene.play(narrator, stage).await,
        };
        if let Err(error) = played {
            narrator.failed(&error);
            return Ok(End::Failed(*scene));
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    narrator.closing(scenes.len(), seconds);
    Ok(End::Verified)
}
