//! The wires: a bridge in the sandbox, a network namespace for each node.

use std::fmt::Write as _;

use testbed::ip;
use testbed::netns::Netns;

use crate::plan::{Addresses, GATEWAY, GATEWAY6, Plan};

/// Name of the sandbox's own namespace.
pub const OUTSIDE: &str = "infra";
/// The bridge.
const BRIDGE: &str = "nodes";

/// Makes the bridge.
///
/// # Errors
/// If the system refuses.
pub fn bridge() -> anyhow::Result<()> {
    ip::batch(
        OUTSIDE,
        &format!(
            "link add {BRIDGE} type bridge\naddr add {GATEWAY}/24 dev {BRIDGE}\n\
             addr add {GATEWAY6}/64 dev {BRIDGE} nodad\nlink set {BRIDGE} up\n"
        ),
    )?;
    Ok(())
}

/// Makes a node's namespace, its wire and the routes to and from its pods.
///
/// # Errors
/// If the system refuses.
pub fn node(plan: &Plan, name: &str, addresses: Addresses) -> anyhow::Result<Netns> {
    let netns = Netns::create(name)?;
    let (v4, v6) = addresses.own();
    ip::batch(
        OUTSIDE,
        &format!(
            "link add {name} type veth peer name eth0 netns {name}\nlink set {name} master {BRIDGE} up\n"
        ),
    )?;
    let mut lines = format!(
        "link set lo up\naddr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\n\
         link set eth0 up\nroute add default via {GATEWAY}\nroute add default via {GATEWAY6}\n"
    );
    for (_, theirs) in plan.addressed().filter(|(other, _)| *other != name) {
        lines += &routes(theirs);
    }
    ip::batch(name, &lines)?;
    ip::batch(OUTSIDE, &routes(addresses))?;
    Ok(netns)
}

/// The way to a node's pods.
fn routes(addresses: Addresses) -> String {
    let ((v4, v6), (pods4, pods6)) = (addresses.own(), addresses.pods());
    let mut lines = String::new();
    let _ = writeln!(lines, "route replace {pods4} via {v4}");
    let _ = writeln!(lines, "route replace {pods6} via {v6}");
    lines
}

/// Cuts a node off, or joins it again.
///
/// # Errors
/// If the system refuses.
pub fn set_link(name: &str, up: bool) -> anyhow::Result<()> {
    let state = if up { "up" } else { "down" };
    ip::batch(OUTSIDE, &format!("link set {name} {state}\n"))?;
    Ok(())
}
