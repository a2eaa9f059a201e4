//! A mesh as the command sees it: processes with pages, and objects.
//!
//! ```text
//!   --admin ADDRESS     one process                         ┐
//!   --run NAME          a demo: its processes in /proc      ├─ Member ─ Way ─ page
//!   --directory DIR     this machine's, and its manifests   │
//!   --kubeconfig        pods, by the API server             ┘
//! ```
//!
//! - [`choose`]: which mesh is meant
//! - [`member`]: a process of it, and what it says of itself
//! - [`way`]: how its pages are reached; [`page`] asks for them
//! - [`local`]: processes of this machine; [`cluster`]: those of a cluster
//! - [`objects`]: namespaces, pods, policies; [`manifests`] in files
//! - [`dump`], [`control`]: what the pages say, typed

pub(crate) mod choose;
pub(crate) mod cluster;
pub(crate) mod control;
pub(crate) mod dump;
pub(crate) mod local;
pub(crate) mod manifests;
pub(crate) mod member;
pub(crate) mod objects;
pub(crate) mod page;
pub(crate) mod way;

use std::path::PathBuf;

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _};

pub(crate) use choose::{Namespaces, Where};
pub(crate) use member::{Kind, Member};
pub(crate) use objects::{Object, Objects};

use self::cluster::Cluster;
use self::control::{MeshDump, StatusReport};
use crate::failed;
use crate::failure::Failure;
use crate::terminal::progress::{self, Count};

/// A mesh.
#[derive(Debug)]
pub(crate) struct Mesh {
    place: Place,
    /// Which namespaces are meant.
    pub(crate) namespaces: Namespaces,
}

/// Where it is.
#[derive(Debug)]
pub(crate) enum Place {
    /// A Kubernetes cluster.
    Cluster(Cluster),
    /// Processes of this machine, and where the manifests are.
    Local {
        /// How a person calls it.
        name: String,
        /// The processes.
        members: Vec<Member>,
        /// The directory that control reads.
        manifests: Option<PathBuf>,
    },
    /// One process.
    One(Member),
}

impl Mesh {
    pub(super) fn new(place: Place, namespaces: Namespaces) -> Self {
        Self { place, namespaces }
    }

    /// How a person calls it.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::Cluster(cluster) => format!("cluster {}", cluster.name()),
            Place::Local { name, .. } => name.clone(),
            Place::One(member) => member.title(),
        }
    }

    /// The cluster, if it is one.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        match &self.place {
            Place::Cluster(cluster) => Some(cluster),
            _ => None,
        }
    }

    /// The directory of manifests, if it has one.
    pub(crate) fn manifests(&self) -> Option<&PathBuf> {
        match &self.place {
            Place::Local { manifests, .. } => manifests.as_ref(),
            _ => None,
        }
    }

    /// Its processes: control, then ztunnels by node, then waypoints.
    ///
    /// # Errors
    /// If the API server does not tell.
    pub(crate) async fn members(&self) -> Result<Vec<Member>, Failure> {
        let mut members = match &self.place {
            Place::Cluster(cluster) => cluster.members().await?,
            Place::Local { members, .. } => members.clone(),
            Place::One(member) => vec![member.clone()],
        };
        members.sort_by_key(Member::order);
        Ok(members)
    }

    /// The processes of a kind.
    ///
    /// # Errors
    /// As [`Mesh::members`].
    pub(crate) async fn of(&self, kind: Kind) -> Result<Vec<Member>, Failure> {
        let members = self.members().await?.into_iter();
        Ok(members.filter(|member| member.kind == kind).collect())
    }

    /// Namespaces, pods, Gateways, policies, routes, of every namespace.
    ///
    /// # Errors
    /// If they cannot be read, or this place has none.
    pub(crate) async fn objects(&self) -> Result<Objects, Failure> {
        match &self.place {
            Place::Cluster(cluster) => cluster.objects().await,
            Place::Local { manifests: Some(directory), .. } => {
                Ok(manifests::read(directory).context("the manifests")?)
            }
            Place::Local { name, .. } => {
                Err(failed!("{name} says not where its manifests are; give --directory DIR"))
            }
            Place::One(member) => Err(failed!(
                "{} has no objects to look at; give --kubeconfig, --run or --directory",
                member.title()
            )),
        }
    }

    /// What control knows: the first that answers.
    ///
    /// # Errors
    /// If none does, with why.
    pub(crate) async fn control_dump(&self) -> Result<MeshDump, Failure> {
        self.ask_control("/debug/mesh").await
    }

    /// What control says about the objects.
    ///
    /// # Errors
    /// If none answers, with why.
    pub(crate) async fn control_status(&self) -> Result<StatusReport, Failure> {
        self.ask_control("/debug/status").await
    }

    async fn ask_control<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let controls = self.of(Kind::Control).await?;
        let mut why = None;
        for control in &controls {
            match control.json::<T>(path).await {
                Ok(answer) => return Ok(answer),
                Err(error) => why = Some(error),
            }
        }
        match why {
            None => Err(failed!("no control plane found in {}", self.name())),
            Some(error) => Err(error.into()),
        }
    }
}

/// Processes that are asked at once.
const AT_ONCE: usize = 16;

/// Asks every process the same, some at once; answers come in the order of `members`.
pub(crate) async fn ask_all<T>(
    members: Vec<Member>,
    ask: impl AsyncFn(&Member) -> anyhow::Result<T>,
) -> Vec<(Member, anyhow::Result<T>)> {
    let count = Count::default();
    count.expect(members.len());
    let asked = stream::iter(members).map(async |member| {
        let answer = ask(&member).await;
        count.step();
        (member, answer)
    });
    progress::counted("asking the proxies", &count, asked.buffered(AT_ONCE).collect()).await
}
