//! The scenes, in the order in which they are played.

mod canary;
mod deny;
mod engine;
mod enrol;
mod identity;
mod restart;
mod waypoint;

use clap::ValueEnum;

use super::narrator::Narrator;
use super::stage::Stage;

/// A scene: what it shows is verified by what the programs did, or it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scene {
    /// The mesh and the shop start.
    Start,
    /// Plaintext before, only TLS after.
    Enrol,
    /// Who calls whom, at each hop.
    Identity,
    /// A policy that refuses, and its end.
    Deny,
    /// A waypoint that knows paths.
    Waypoint,
    /// The user's policy engine, killed and back.
    Engine,
    /// A share of the traffic for a new version.
    Canary,
    /// A proxy is killed under traffic.
    Restart,
}

impl Scene {
    /// In the order of the play.
    pub(crate) const ALL: [Self; 8] = [
        Self::Start,
        Self::Enrol,
        Self::Identity,
        Self::Deny,
        Self::Waypoint,
        Self::Engine,
        Self::Canary,
        Self::Restart,
    ];

    /// As the command line writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Enrol => "enrol",
            Self::Identity => "identity",
            Self::Deny => "deny",
            Self::Waypoint => "waypoint",
            Self::Engine => "engine",
            Self::Canary => "canary",
            Self::Restart => "restart",
        }
    }

    /// One line about it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Start => "a mesh of two nodes starts, and a shop that is not in it",
            Self::Enrol => "one label: plaintext before, only TLS after",
            Self::Identity => "both ends of each hop know who the other is",
            Self::Deny => "a policy shuts the customer out, and lets it in again",
            Self::Waypoint => "by label, HTTP is understood: /orders yes, /admin no",
            Self::Engine => "your own policy engine decides; without it, nobody passes",
            Self::Canary => "nine tenths to payments v1, one tenth to v2",
            Self::Restart => "a node's proxy is killed under traffic",
        }
    }

    /// The scenes that must have been played before, besides the start.
    fn needs(self) -> &'static [Self] {
        match self {
            Self::Start | Self::Enrol => &[],
            Self::Identity | Self::Deny | Self::Waypoint | Self::Restart => &[Self::Enrol],
            Self::Engine | Self::Canary => &[Self::Enrol, Self::Waypoint],
        }
    }

    /// Plays it on the stage that the start has built.
    ///
    /// # Errors
    /// With what could not be verified.
    pub(super) async fn play(self, narrator: &Narrator, stage: &mut Stage) -> anyhow::Result<()> {
        match self {
            Self::Start => Ok(()),
            Self::Enrol => enrol::play(narrator, stage).await,
            Self::Identity => identity::play(narrator, stage).await,
            Self::Deny => deny::play(narrator, stage).await,
            Self::Waypoint => waypoint::play(narrator, stage).await,
            Self::Engine => engine::play(narrator, stage).await,
            Self::Canary => canary::play(narrator, stage).await,
            Self::Restart => restart::play(narrator, stage).await,
        }
    }
}

/// The scenes that were asked for and those that they need, in order; all without a wish.
pub(super) fn chosen(wanted: &[Scene]) -> Vec<Scene> {
    let wish = |scene: &Scene| {
        wanted.is_empty()
            || *scene == Scene::Start
            || wanted.iter().any(|other| other == scene || other.needs().contains(scene))
    };
    Scene::ALL.into_iter().filter(wish).collect()
}

#[cfg(test)]
mod tests;
