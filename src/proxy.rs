//! `ambit proxy …`: what one ztunnel or waypoint knows and does.
//!
//! - [`state`]: workloads, services, policies
//! - [`certificates`], [`connections`]
//! - [`log`]: its log levels
//! - [`diff`]: what two know differently

mod certificates;
mod connections;
mod diff;
mod log;
mod state;

pub(crate) use certificates::{Life, life};

use clap::{Args, Subcommand};

use crate::failed;
use crate::failure::{Failure, Outcome};
use crate::mesh::{Kind, Member, Mesh, Where};
use crate::terminal::{Listing, Show, progress};

/// What to show.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// The workloads that it knows
    Workloads(One),
    /// The services that it knows, with their addresses and endpoints
    Services(One),
    /// The policies that it enforces
    Policies(One),
    /// Its certificates and how long they hold
    Certificates(One),
    /// The connections that are open in it now
    Connections(One),
    /// Show its log levels, or set them
    Log(log::Options),
    /// What two proxies know differently, or a proxy and the control plane
    Diff(diff::Options),
}

/// A proxy, and how to show it.
#[derive(Clone, Debug, Args)]
pub(crate) struct One {
    #[command(flatten)]
    proxy: Proxy,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    show: Show,
}

/// Which proxy.
#[derive(Clone, Debug, Args)]
pub(crate) struct Proxy {
    /// A node for its ztunnel; NAMESPACE/POD of a ztunnel or waypoint; NAMESPACE/GATEWAY for an
    /// instance of a waypoint; not needed with --admin, or where there is one
    name: Option<String>,
}

impl Proxy {
    /// Finds it.
    ///
    /// # Errors
    /// If there is none of that name, or no name and several.
    pub(crate) async fn find(&self, mesh: &Mesh) -> Result<Member, Failure> {
        let members = mesh.members().await?;
        let proxies = members.into_iter().filter(|member| member.kind != Kind::Control);
        choose(proxies.collect(), self.name.as_deref(), &mesh.name())
    }
}

/// The one of that name, or the only one.
fn choose(proxies: Vec<Member>, name: Option<&str>, mesh: &str) -> Result<Member, Failure> {
    let names: Vec<String> = proxies.iter().flat_map(Member::names).collect();
    let Some(wanted) = name else {
        let count = proxies.len();
        let mut all = proxies.into_iter();
        return match (all.next(), count) {
            (Some(only), 1) => Ok(only),
            (None, _) => Err(failed!("no proxy found in {mesh}")),
            _ => Err(Failure::Usage(format!("which proxy? There are: {}", names.join(", ")))),
        };
    };
    let exact = proxies.iter().find(|member| member.names().iter().any(|name| name == wanted));
    let short = |member: &&Member| {
        member.names().iter().any(|name| name.split_once('/').is_some_and(|(_, own)| own == wanted))
    };
    match exact.or_else(|| proxies.iter().find(short)) {
        Some(member) => Ok(member.clone()),
        None => Err(Failure::unknown("proxy", wanted, names.iter().map(String::as_str))),
    }
}

/// Does it.
///
/// # Errors
/// If there is no such proxy, or it does not answer.
pub(crate) async fn run(command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Workloads(one) => one.print(state::Workloads::of).await,
        Command::Services(one) => one.print(state::Services::of).await,
        Command::Policies(one) => one.print(state::Policies::of).await,
        Command::Certificates(one) => one.print(certificates::Certificates::of).await,
        Command::Connections(one) => one.print(connections::Connections::of).await,
        Command::Log(options) => log::run(options).await,
        Command::Diff(options) => diff::run(options).await,
    }
}

impl One {
    async fn print<L: Listing>(
        &self,
        of: impl Fn(&crate::mesh::dump::ProxyDump, &Mesh) -> L,
    ) -> Result<Outcome, Failure> {
        let mesh = self.place.find().await?;
        let member = self.proxy.find(&mesh).await?;
        let dump = progress::during(&format!("asking {}", member.title()), member.dump()).await?;
        self.show.print(&of(&dump, &mesh))?;
        Ok(Outcome::Fine)
    }
}

#[cfg(test)]
mod tests;
