//! The rule and the routes that bring replies to the proxy back over loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hbone::netns::{Netns, NetnsError};
use nix::errno::Errno;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteMessage, RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::ruleset::{INBOUND_MARK, MARK_MASK};
use crate::netlink::{Netlink, NetlinkError, errno};

/// Priority of the rule (docs/wire.md, "Marks and routes").
const PRIORITY: u32 = 32764;
/// The table that delivers everything locally.
const TABLE: u32 = 100;
/// Every namespace's loopback has this index.
const LOOPBACK: u32 = 1;

/// Why routes could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The namespace cannot be entered.
    #[error("cannot enter the pod's network namespace")]
    Netns(#[from] NetnsError),
    /// No netlink socket.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The kernel refused one of the messages.
    #[error("cannot {action} of {family}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// For which family.
        family: &'static str,
        /// What the kernel said.
        source: Box<rtnetlink::Error>,
    },
}

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Adds what is missing of the rule and the routes; true if something was.
pub async fn ensure(netns: &Netns) -> Result<bool, RouteError> {
    let netlink = Netlink::connect(netns)?;
    let mut missing = false;
    for family in families(netns)? {
        let mut rule = netlink.handle.rule().add();
        *rule.message_mut() = rule_message(family);
        missing |= added(rule.execute().await, "add the rule", family)?;
        let route = netlink.handle.route().add(route_message(family));
        missing |= added(route.execute().await, "add the local route", family)?;
    }
    Ok(missing)
}

/// Removes rule and routes; what is not there is no error.
pub async fn remove(netns: &Netns) -> Result<(), RouteError> {
    let netlink = Netlink::connect(netns)?;
    for family in families(netns)? {
        let rule = netlink.handle.rule().del(rule_message(family));
        removed(rule.execute().await, "delete the rule", family)?;
        let route = netlink.handle.route().del(route_message(family));
        removed(route.execute().await, "delete the local route", family)?;
    }
    Ok(())
}

/// IPv6 is left out where the namespace has none on its loopback.
fn families(netns: &Netns) -> Result<Vec<Family>, RouteError> {
    let disabled = "/proc/sys/net/ipv6/conf/lo/disable_ipv6";
    let off = netns.run(|| std::fs::read(disabled))?.map_or(true, |text| text.starts_with(b"1"));
    Ok(if off { vec![Family::V4] } else { vec![Family::V4, Family::V6] })
}

fn rule_message(family: Family) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    message.header.table = TABLE as u8;
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![
        RuleAttribute::Priority(PRIORITY),
        RuleAttribute::FwMark(INBOUND_MARK),
        RuleAttribute::FwMask(MARK_MASK),
        RuleAttribute::Table(TABLE),
    ];
    message
}

fn route_message(family: Family) -> RouteMessage {
    let everything = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    match everything {
        IpAddr::V4(address) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 0)
            .scope(RouteScope::Host)
            .kind(RouteType::Local)
            .table_id(TABLE)
            .output_interface(LOOPBACK)
            .build(),
        IpAddr::V6(address) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(address, 0)
            .kind(RouteType::Local)
            .table_id(TABLE)
            .output_interface(LOOPBACK)
            .build(),
    }
}

fn added(
    result: Result<(), rtnetlink::Error>,
    action: &'static str,
    family: Family,
) -> Result<bool, RouteError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if errno(&error) == Some(Errno::EEXIST) => Ok(false),
        Err(source) => {
            Err(RouteError::Refused { action, family: family.name(), source: source.into() })
        }
    }
}

fn removed(
    result: Result<(), rtnetlink::Error>,
    action: &'static str,
    family: Family,
) -> Result<(), RouteError> {
    let absent = [Errno::ENOENT, Errno::ESRCH];
    match result {
        Ok(()) => Ok(()),
        Err(error) if errno(&error).is_some_and(|errno| absent.contains(&errno)) => Ok(()),
        Err(source) => {
            Err(RouteError::Refused { action, family: family.name(), source: source.into() })
        }
    }
}
