//! Which mesh is meant: by option, or the one that there is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use http::Method;
use testbed::runs::{self, runs};

use super::cluster;
use super::local;
use super::member::{Kind, Member};
use super::page;
use super::way::Way;
use super::{Mesh, Place};
use crate::failed;
use crate::failure::Failure;
use crate::terminal::progress;

/// Where the mesh is.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which mesh")]
pub(crate) struct Where {
    /// How to reach a cluster; without it, as kubectl does
    #[arg(long, value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig
    #[arg(long, global = true)]
    context: Option<String>,

    /// A running demo or test, by its name
    #[arg(long, value_name = "NAME", global = true,
        conflicts_with_all = ["context", "directory", "admin"])]
    run: Option<String>,

    /// A mesh of this machine, by the manifests that its control plane reads
    #[arg(long, value_name = "DIR", global = true, conflicts_with_all = ["context", "admin"])]
    directory: Option<PathBuf>,

    /// Where the control plane of that mesh has its administrative pages
    #[arg(long, value_name = "ADDRESS", global = true, conflicts_with_all = ["context", "run"])]
    control: Option<SocketAddr>,

    /// One process, by the address of its administrative pages
    #[arg(long, value_name = "ADDRESS", global = true, conflicts_with_all = ["context", "run"])]
    admin: Option<SocketAddr>,

    /// Only this namespace; by default that of the context if it names one, else all
    #[arg(short = 'n', long, global = true, conflicts_with = "all_namespaces")]
    namespace: Option<String>,

    /// All namespaces
    #[arg(short = 'A', long, global = true)]
    all_namespaces: bool,
}

/// Options that name a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'a> {
    /// The kubeconfig.
    pub(crate) kubeconfig: Option<&'a Path>,
    /// Its context.
    pub(crate) context: Option<&'a str>,
}

/// Which namespaces are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespaces {
    only: Option<String>,
}

impl Namespaces {
    /// Whether it is meant.
    pub(crate) fn has(&self, namespace: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == namespace)
    }

    /// The only one, if it is one.
    pub(crate) fn only(&self) -> Option<&str> {
        self.only.as_deref()
    }

    /// Where a name without a namespace is.
    pub(crate) fn default(&self) -> &str {
        self.only.as_deref().unwrap_or("default")
    }
}

impl Where {
    /// Finds it.
    ///
    /// # Errors
    /// If there is none, or more than one; with what to give.
    pub(crate) async fn find(&self) -> Result<Mesh, Failure> {
        progress::during("looking for the mesh", self.look()).await
    }

    async fn look(&self) -> Result<Mesh, Failure> {
        let only = self.namespace.clone();
        let namespaces = |only: Option<String>| Namespaces { only };
        if let Some(address) = self.admin {
            return Ok(Mesh::new(Place::One(one(address).await?), namespaces(only)));
        }
        if self.run.is_some() {
            return Ok(Mesh::new(self.run()?, namespaces(only)));
        }
        if self.directory.is_some() || self.control.is_some() {
            return Ok(Mesh::new(self.directory(), namespaces(only)));
        }
        let by_variable = std::env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty());
        if self.context.is_none() && self.kubeconfig.is_none() && !by_variable {
            let running: Vec<String> = runs().into_iter().map(|run| run.name).collect();
            if !running.is_empty() {
                return Ok(Mesh::new(self.run()?, namespaces(only)));
            }
            let here = local::beside("self");
            let no_cluster = kube::config::Kubeconfig::read().is_err()
                && std::env::var_os("KUBERNETES_SERVICE_HOST").is_none();
            // On a node of a cluster, by who can reach nothing but this machine.
            let here =
                if here.members.is_empty() && no_cluster { local::in_containers() } else { here };
            if !here.members.is_empty() {
                let name = "the mesh of this machine".to_owned();
                let place = Place::Local { name, members: here.members, manifests: here.manifests };
                return Ok(Mesh::new(place, namespaces(only)));
            }
            if no_cluster {
                return Err(failed!(
                    "no mesh found: no running demo, no process of a mesh on this machine, no \
                     kubeconfig; start one with `ambit demo`, or give --run, --kubeconfig, \
                     --directory or --admin"
                ));
            }
        }
        let cluster = cluster::connect(self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let only = only.or_else(|| cluster.namespace.clone().filter(|_| !self.all_namespaces));
        Ok(Mesh::new(Place::Cluster(cluster), namespaces(only)))
    }

    /// The directory, if one was given.
    pub(crate) fn given_directory(&self) -> Option<&PathBuf> {
        self.directory.as_ref()
    }

    /// Which cluster was asked for.
    pub(crate) fn cluster(&self) -> Given<'_> {
        Given { kubeconfig: self.kubeconfig.as_deref(), context: self.context.as_deref() }
    }

    fn run(&self) -> Result<Place, Failure> {
        let run = runs::find(self.run.as_deref())
            .context("start one with `ambit demo`, or choose one with --run")?;
        let found = local::beside(&run.first.to_string());
        let name = format!("run {}", run.name);
        Ok(Place::Local { name, members: found.members, manifests: found.manifests })
    }

    /// What runs here, and the control plane that was named.
    fn directory(&self) -> Place {
        let mut found = local::beside("self");
        if let Some(address) = self.control {
            found.members.retain(|member| member.kind != Kind::Control);
            found.members.push(member(Kind::Control, address));
        }
        let manifests = self.directory.clone().or(found.manifests);
        let name = match &manifests {
            Some(directory) => format!("the mesh of {}", directory.display()),
            None => "the mesh of this machine".to_owned(),
        };
        Place::Local { name, members: found.members, manifests }
    }
}

/// A process of which only the address is known.
async fn one(address: SocketAddr) -> Result<Member, Failure> {
    let way = Way::Direct(address);
    let status = async |path| page::ask(&way, Method::GET, path).await.map(|page| page.status);
    let kind = if status("/debug/status").await? == 200 {
        Kind::Control
    } else {
        // Only a ztunnel knows pods; a waypoint that is older has no dump.
        let dump = page::ask(&way, Method::GET, "/config_dump").await?;
        let is_ztunnel = dump.status == 200 && dump.text().contains("\"workloadState\"");
        if is_ztunnel { Kind::Ztunnel } else { Kind::Waypoint }
    };
    let mut one = member(kind, address);
    if kind != Kind::Control
        && let Ok(dump) = one.dump().await
    {
        one.node = dump.config["localNode"].as_str().unwrap_or_default().to_owned();
    }
    Ok(one)
}

fn member(kind: Kind, address: SocketAddr) -> Member {
    let admin = Way::Direct(address);
    let stats = match kind {
        Kind::Control => admin.clone(),
        Kind::Ztunnel | Kind::Waypoint => admin.at(15020),
    };
    Member {
        kind,
        node: String::new(),
        namespace: String::new(),
        name: String::new(),
        gateway: String::new(),
        admin,
        stats,
        away: None,
    }
}
