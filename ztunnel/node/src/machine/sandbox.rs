//! The network namespace of a pod that no container runtime makes: a waypoint's.
//!
//! ```text
//!   node: wp0123456789ab 169.254.1.1, fe80::1 ──── eth0 10.1.0.241, fd00:1::f1 :pod
//! ```
//!
//! The node routes the pod's addresses into the link, and the pod sends everything to the
//! node, as container runtimes without a bridge do. The node must forward packets, and the
//! network must route the addresses to the node: neither is changed here.
//!
//! The namespace is held by a descriptor and so ends with its last process and with us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::Arc;

use hbone::netns::{Netns, NetnsError, NetnsId};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{LinkUnspec, LinkVeth, RouteMessageBuilder};
use tracing::warn;

use super::process::Left;
use crate::handle::open;
use crate::handle::search::holds;
use crate::netlink::{Netlink, NetlinkError, errno};
use crate::pod::{Pod, Uid};

/// The link's name in the pod.
const INSIDE: &str = "eth0";
/// The node's end of every such link. Link-local, so that it needs no address of the network.
const GATEWAY4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The same.
const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// Longest name of a link (`IFNAMSIZ` less its NUL).
const MAX_NAME: usize = 15;

/// Why a pod's network namespace cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    /// A namespace cannot be made or entered.
    #[error("cannot make a network namespace")]
    Netns(#[from] NetnsError),
    /// No netlink socket.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A link has vanished.
    #[error("there is no link {name}")]
    Link {
        /// Its name.
        name: String,
        /// What the system said.
        source: Errno,
    },
    /// The kernel refused.
    #[error("cannot {action}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: Box<rtnetlink::Error>,
    },
}

/// A made namespace and the link into it.
#[derive(Debug)]
pub(super) struct Sandbox {
    netns: Arc<Netns>,
    link: String,
}

impl Sandbox {
    /// Makes it with the pod's addresses; what a former one left under its name is removed.
    ///
    /// # Errors
    /// See [`SandboxError`]; a part of it may be left until the next attempt.
    pub(super) async fn create(pod: &Pod) -> Result<Self, SandboxError> {
        let node = Netns::current()?;
        warn_unless_forwarding(pod);
        let sandbox = Self { netns: Arc::new(Netns::create()?), link: link_name(&pod.uid) };
        let (outside, inside) = (Netlink::connect(&node)?, Netlink::connect(&sandbox.netns)?);
        remove_link(&outside, &sandbox.link).await?;
        // Made inside and moved out: no name but the link's own appears on the node.
        let pair = inside.handle.link().add(LinkVeth::new(INSIDE, &sandbox.link).build());
        refused("make the link", pair.execute().await)?;
        let fd = node.as_fd().as_raw_fd();
        let moved = LinkUnspec::new_with_name(&sandbox.link).setns_by_fd(fd).build();
        refused("move the link", inside.handle.link().set(moved).execute().await)?;
        sandbox.set_up_inside(&inside, pod).await?;
        sandbox.set_up_outside(&outside, &node, pod).await?;
        Ok(sandbox)
    }

    /// That of a process which a supervisor before us left in it; none if it is another's.
    pub(super) fn of(pod: &Pod, left: &Left, node: &[NetnsId]) -> Option<Self> {
        let place = open(&PathBuf::from(format!("/proc/{}/ns/net", left.pid())), node).ok()?;
        holds(&place.netns, &pod.ips)
            .then(|| Self { netns: place.netns, link: link_name(&pod.uid) })
    }

    /// The namespace.
    pub(super) fn netns(&self) -> Arc<Netns> {
        self.netns.clone()
    }

    /// Removes the link and with it every route; the namespace goes with its last process.
    pub(super) async fn remove(self) {
        remove(&self.link).await;
    }

    async fn set_up_inside(&self, inside: &Netlink, pod: &Pod) -> Result<(), SandboxError> {
        let loopback = index(&self.netns, "lo")?;
        up(inside, loopback).await?;
        let link = index(&self.netns, INSIDE)?;
        for ip in &pod.ips {
            add_address(inside, link, *ip, full(*ip)).await?;
        }
        up(inside, link).await?;
        for ip in &pod.ips {
            let route = inside.handle.route().add(everything(*ip, link)).execute().await;
            refused("add a default route to the pod", route)?;
        }
        Ok(())
    }

    async fn set_up_outside(
        &self,
        outside: &Netlink,
        node: &Netns,
        pod: &Pod,
    ) -> Result<(), SandboxError> {
        let link = index(node, &self.link)?;
        up(outside, link).await?;
        for ip in &pod.ips {
            let (gateway, prefix) = match ip {
                IpAddr::V4(_) => (GATEWAY4.into(), 32),
                IpAddr::V6(_) => (GATEWAY6.into(), 64),
            };
            add_address(outside, link, gateway, prefix).await?;
            let route = outside.handle.route().add(to_pod(*ip, link)).replace().execute().await;
            refused("route to the pod", route)?;
        }
        Ok(())
    }
}

/// Removes what a pod that is gone has left on the node.
pub(super) async fn remove_of(uid: &Uid) {
    remove(&link_name(uid)).await;
}

async fn remove(link: &str) {
    let removed = async {
        let node = Netlink::connect(&Netns::current()?)?;
        remove_link(&node, link).await
    };
    if let Err(error) = removed.await {
        warn!(link, reason = crate::chain(&error), "link of a waypoint not removed");
    }
}

/// Its own for each pod: the end of the UID, where UIDs differ.
fn link_name(uid: &Uid) -> String {
    let plain: Vec<char> = uid.as_str().chars().filter(char::is_ascii_alphanumeric).collect();
    let start = plain.len().saturating_sub(MAX_NAME - 2);
    ["wp".to_owned(), plain.iter().skip(start).collect()].concat()
}

/// Somebody else's switch: on many machines it is set for a reason.
fn warn_unless_forwarding(pod: &Pod) {
    for (ip, setting) in [
        (pod.ips.iter().find(|ip| ip.is_ipv4()), "net/ipv4/ip_forward"),
        (pod.ips.iter().find(|ip| ip.is_ipv6()), "net/ipv6/conf/all/forwarding"),
    ] {
        let value = std::fs::read(format!("/proc/sys/{setting}")).unwrap_or_default();
        if ip.is_some() && value.first() != Some(&b'1') {
            warn!(setting, "this node does not forward to its waypoints; set it to 1");
        }
    }
}

fn index(netns: &Netns, name: &str) -> Result<u32, SandboxError> {
    let found = netns.run(|| if_nametoindex(name))?;
    found.map_err(|source| SandboxError::Link { name: name.to_owned(), source })
}

async fn remove_link(netlink: &Netlink, name: &str) -> Result<(), SandboxError> {
    let link = LinkUnspec::new_with_name(name).build();
    let mut request = netlink.handle.link().del(0);
    *request.message_mut() = link;
    match request.execute().await {
        Err(error) if errno(&error) == Some(Errno::ENODEV) => Ok(()),
        result => refused("remove a link that was left", result),
    }
}

async fn up(netlink: &Netlink, index: u32) -> Result<(), SandboxError> {
    let message = LinkUnspec::new_with_index(index).up().build();
    refused("bring a link up", netlink.handle.link().set(message).execute().await)
}

/// IPv6 addresses are usable at once: nobody else can have them on such a link.
async fn add_address(
    netlink: &Netlink,
    index: u32,
    ip: IpAddr,
    prefix: u8,
) -> Result<(), SandboxError> {
    let mut request = netlink.handle.address().add(index, ip, prefix).replace();
    if ip.is_ipv6() {
        let message = request.message_mut();
        message.header.flags |= AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    refused("add an address", request.execute().await)
}

fn full(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn to_pod(ip: IpAddr, link: u32) -> RouteMessage {
    match ip {
        IpAddr::V4(ip) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(ip, 32)
            .scope(RouteScope::Link)
            .output_interface(link)
            .build(),
        IpAddr::V6(ip) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(ip, 128)
            .output_interface(link)
            .build(),
    }
}

/// The way to everything, of the family of `ip`.
fn everything(ip: IpAddr, link: u32) -> RouteMessage {
    match ip {
        IpAddr::V4(_) => RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(GATEWAY4)
            .onlink()
            .output_interface(link)
            .build(),
        IpAddr::V6(_) => {
            RouteMessageBuilder::<Ipv6Addr>::new().gateway(GATEWAY6).output_interface(link).build()
        }
    }
}

fn refused(action: &'static str, result: Result<(), rtnetlink::Error>) -> Result<(), SandboxError> {
    result.map_err(|source| SandboxError::Refused { action, source: source.into() })
}

#[cfg(test)]
mod tests;
