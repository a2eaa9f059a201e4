//! The rules of the node itself: kubelet's probes of captured pods come from an address that
//! the rules in the pods leave alone (docs/wire.md, "Rules of the host").
//!
//! Only what a process of the node itself sends is translated: it has a socket, and what is
//! forwarded has none. So a client behind a NodePort is captured like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hbone::netns::Netns;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::nft::{self, Listing, NftError};
use super::ruleset::{NAT_TABLE, PROBE_V4, PROBE_V6};
use crate::pod::Uid;

/// How often the rules are compared with what they should be.
const VERIFY: Duration = Duration::from_secs(10);

/// Addresses whose probes are let through, by pod. Cheap to clone; off unless it was started.
#[derive(Clone, Default)]
pub struct HostProbes(Option<Arc<Shared>>);

impl fmt::Debug for HostProbes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "HostProbes(on)" } else { "HostProbes(off)" })
    }
}

struct Shared {
    node: Netns,
    wanted: std::sync::Mutex<BTreeMap<Uid, Vec<IpAddr>>>,
    /// What was applied, and the rules that the kernel had then.
    applied: Mutex<Option<(BTreeSet<IpAddr>, Listing)>>,
}

impl HostProbes {
    /// Rules in the network namespace `node`, which is the node's own.
    pub fn of(node: Netns) -> Self {
        let (wanted, applied) = (std::sync::Mutex::default(), Mutex::default());
        Self(Some(Arc::new(Shared { node, wanted, applied })))
    }

    /// Counts pods in that a former agent let probes through to. Nothing is applied yet, and what
    /// the former agent applied stays; the first change then has all of them, in one transaction.
    pub fn resume(&self, pods: impl IntoIterator<Item = (Uid, Vec<IpAddr>)>) {
        if let Some(shared) = &self.0 {
            shared.wanted.lock().unwrap_or_else(PoisonError::into_inner).extend(pods);
        }
    }

    /// Lets probes of a pod through; returns when it is so.
    ///
    /// # Errors
    /// The rules.
    pub async fn include(&self, uid: &Uid, ips: &[IpAddr]) -> Result<(), NftError> {
        self.change(|wanted| drop(wanted.insert(uid.clone(), ips.to_vec()))).await
    }

    /// Ends that.
    ///
    /// # Errors
    /// The rules.
    pub async fn exclude(&self, uid: &Uid) -> Result<(), NftError> {
        self.change(|wanted| drop(wanted.remove(uid))).await
    }

    /// Puts the rules back when somebody removes them, until `stop`.
    pub async fn keep(self, stop: CancellationToken) {
        let Some(shared) = self.0 else { return };
        loop {
            tokio::select! {
                () = tokio::time::sleep(VERIFY) => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = shared.restore().await {
                let reason = crate::chain(&error);
                warn!(reason, "rules for probes cannot be read or written");
            }
        }
    }

    /// Takes the rules away, when no agent follows.
    ///
    /// # Errors
    /// The rules.
    pub async fn remove(&self) -> Result<(), NftError> {
        let Some(shared) = &self.0 else { return Ok(()) };
        let transaction = format!("add table inet {NAT_TABLE}\ndelete table inet {NAT_TABLE}\n");
        nft::apply(&shared.node, &transaction).await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut BTreeMap<Uid, Vec<IpAddr>>),
    ) -> Result<(), NftError> {
        let Some(shared) = &self.0 else { return Ok(()) };
        change(&mut shared.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        shared.settle().await
    }
}

impl Shared {
    fn addresses(&self) -> BTreeSet<IpAddr> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.values().flatten().copied().collect()
    }

    /// Applies what is wanted, if that is news. Who waits for another's turn finds its own
    /// wish fulfilled with it.
    async fn settle(&self) -> Result<(), NftError> {
        let mut applied = self.applied.lock().await;
        let wanted = self.addresses();
        if applied.as_ref().is_some_and(|(there, _)| *there == wanted) {
            return Ok(());
        }
        nft::apply(&self.node, &transaction(&wanted)).await?;
        *applied = Some((wanted, nft::list(&self.node).await?));
        Ok(())
    }

    async fn restore(&self) -> Result<(), NftError> {
        let mut applied = self.applied.lock().await;
        let Some((there, listing)) = &*applied else { return Ok(()) };
        if nft::list(&self.node).await? == *listing {
            return Ok(());
        }
        warn!("rules for probes were missing and are restored");
        let there = there.clone();
        nft::apply(&self.node, &transaction(&there)).await?;
        *applied = Some((there, nft::list(&self.node).await?));
        Ok(())
    }
}

/// One transaction that makes the rules for probes of `addresses`, from whatever was.
fn transaction(addresses: &BTreeSet<IpAddr>) -> String {
    let mut text = format!("add table inet {NAT_TABLE}\ndelete table inet {NAT_TABLE}\n");
    let of = |family: fn(&IpAddr) -> bool| {
        let list: Vec<String> =
            addresses.iter().filter(|ip| family(ip)).map(ToString::to_string).collect();
        if list.is_empty() {
            String::new()
        } else {
            format!("\n    elements = {{ {} }}", list.join(", "))
        }
    };
    let (v4, v6) = (of(IpAddr::is_ipv4), of(IpAddr::is_ipv6));
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "table inet {NAT_TABLE} {{
  set istio-inpod-probes-v4 {{
    type ipv4_addr{v4}
  }}
  set istio-inpod-probes-v6 {{
    type ipv6_addr{v6}
  }}
  chain istio-postrouting {{
    meta l4proto tcp meta skuid 0 ip daddr @istio-inpod-probes-v4 snat ip to {PROBE_V4}
    meta l4proto tcp meta skuid 0 ip6 daddr @istio-inpod-probes-v6 snat ip6 to {PROBE_V6}
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    jump istio-postrouting
  }}
}}
"
    );
    text
}
