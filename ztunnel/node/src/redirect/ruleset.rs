//! The text of the rules: pure, so that tests read it as the specification.

use std::fmt::Write;

/// Table of the redirects.
pub const NAT_TABLE: &str = "istio-ambient-nat";
/// Table of the marks.
pub const MANGLE_TABLE: &str = "istio-ambient-mangle";

/// Port for outbound connections of the pod.
pub const OUTBOUND_PORT: u16 = 15001;
/// Port for plaintext to the pod.
pub const INBOUND_PORT: u16 = 15006;
/// Port for HBONE to the pod; never redirected.
pub const HBONE_PORT: u16 = 15008;

/// Mark of every packet that the proxy makes, under [`MARK_MASK`].
pub const PROXY_MARK: u32 = 0x539;
/// Mark of connections that the proxy opened to the application, under [`MARK_MASK`].
pub const INBOUND_MARK: u32 = 0x111;
/// The bits of a mark that are ours.
pub const MARK_MASK: u32 = 0xfff;

/// Source address of kubelet's probes after the host's translation.
pub const PROBE_V4: &str = "169.254.7.127";
/// The same for IPv6.
pub const PROBE_V6: &str = "fd16:9254:7127:1337:ffff:ffff:ffff:ffff";

/// Annotation: inbound traffic is left alone.
const BYPASS_INBOUND: &str = "ambient.istio.io/bypass-inbound-capture";
/// Annotation: inbound traffic on these interfaces counts as outbound.
const REROUTE: &str = "istio.io/reroute-virtual-interfaces";

/// Most interfaces that a pod may name in its annotation.
pub(super) const MAX_INTERFACES: usize = 16;

/// What differs between pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// No inbound redirect (ingress mode).
    pub bypass_inbound: bool,
    /// Interfaces on which inbound traffic counts as outbound.
    pub reroute_interfaces: Vec<String>,
}

/// How far a pod's redirection goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirection {
    /// New connections are redirected.
    Full(Options),
    /// Nothing new is redirected, and what carries the open connections stays: the marks,
    /// and an empty chain at each place of the redirects, because the kernel forgets to
    /// translate known connections once a namespace has no chain of type nat.
    Draining,
    /// Nothing is left.
    None,
}

impl Options {
    /// Reads a pod's annotations; an interface name that the kernel would not have is left
    /// out and returned, for a warning.
    pub fn of(pod: &crate::pod::Pod) -> (Self, Vec<String>) {
        let listed = pod.annotations.get(REROUTE).map(String::as_str).unwrap_or_default();
        let names = listed.split(',').map(str::trim).filter(|name| !name.is_empty());
        let (good, bad): (Vec<_>, Vec<_>) =
            names.take(MAX_INTERFACES).map(str::to_owned).partition(|name| is_interface(name));
        let bypass_inbound = pod.annotated_true(BYPASS_INBOUND);
        (Self { bypass_inbound, reroute_interfaces: good }, bad)
    }
}

/// Letters, digits, `.`, `-`, `_` and `@`, at most 15: enough for every name in use, and
/// nothing that could end a string of the rule language.
fn is_interface(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_@".contains(&b);
    (1..16).contains(&name.len()) && name.bytes().all(plain)
}

/// One transaction that brings a network namespace to `wanted`, from whatever it was.
pub fn transaction(wanted: &Redirection) -> String {
    let mut text = String::with_capacity(4096);
    for table in [NAT_TABLE, MANGLE_TABLE] {
        // Adding first makes the deletion valid when there was none.
        let _ = writeln!(text, "add table inet {table}\ndelete table inet {table}");
    }
    match wanted {
        Redirection::Full(options) => {
            text.push_str(&nat(&inbound(options), &outbound()));
            text.push_str(&mangle());
        }
        Redirection::Draining => {
            text.push_str(&nat("", ""));
            text.push_str(&mangle());
        }
        Redirection::None => {}
    }
    text
}

/// The table of the redirects, at the priorities of docs/wire.md, "Rules in a pod".
fn nat(inbound: &str, outbound: &str) -> String {
    format!(
        "table inet {NAT_TABLE} {{
  chain istio-prerouting {{
{inbound}  }}
  chain istio-output {{
{outbound}  }}
  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    jump istio-prerouting
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    jump istio-output
  }}
}}
"
    )
}

fn mangle() -> String {
    let keep = !MARK_MASK;
    format!(
        "table inet {MANGLE_TABLE} {{
  chain istio-prerouting {{
    meta mark & {MARK_MASK:#x} == {PROXY_MARK:#x} ct mark set ct mark & {keep:#x} | {INBOUND_MARK:#x}
  }}
  chain istio-output {{
    ct mark & {MARK_MASK:#x} == {INBOUND_MARK:#x} meta mark set ct mark
  }}
  chain prerouting {{
    type filter hook prerouting priority -150; policy accept;
    jump istio-prerouting
  }}
  chain output {{
    type route hook output priority -150; policy accept;
    jump istio-output
  }}
}}
"
    )
}

/// Only the packet that opens a connection is taken: connection tracking starts with these
/// rules, so the first packet of an older connection would look new to it and be redirected.
const OPENING: &str = "tcp flags & (syn | ack) == syn";

fn inbound(options: &Options) -> String {
    let mut text = String::new();
    for name in &options.reroute_interfaces {
        let _ = writeln!(text, "    iifname \"{name}\" {OPENING} redirect to :{OUTBOUND_PORT}");
        let _ = writeln!(text, "    iifname \"{name}\" meta l4proto tcp return");
    }
    if options.bypass_inbound {
        return text;
    }
    let _ = writeln!(text, "    ip saddr {PROBE_V4} meta l4proto tcp accept");
    let _ = writeln!(text, "    ip6 saddr {PROBE_V6} meta l4proto tcp accept");
    for not_loopback in ["ip daddr != 127.0.0.1", "ip6 daddr != ::1"] {
        let _ = writeln!(
            text,
            "    {not_loopback} tcp dport != {HBONE_PORT} \
             meta mark & {MARK_MASK:#x} != {PROXY_MARK:#x} {OPENING} redirect to :{INBOUND_PORT}"
        );
    }
    text
}

fn outbound() -> String {
    let mut text = String::new();
    let _ = writeln!(text, "    ip daddr {PROBE_V4} meta l4proto tcp accept");
    let _ = writeln!(text, "    ip6 daddr {PROBE_V6} meta l4proto tcp accept");
    let _ = writeln!(
        text,
        "    meta l4proto tcp meta mark & {MARK_MASK:#x} == {INBOUND_MARK:#x} accept"
    );
    for not_loopback in ["ip daddr != 127.0.0.1", "ip6 daddr != ::1"] {
        // The application calls its own address.
        let _ = writeln!(text, "    oifname \"lo\" {not_loopback} accept");
        let _ = writeln!(
            text,
            "    {not_loopback} meta mark & {MARK_MASK:#x} != {PROXY_MARK:#x} \
             {OPENING} redirect to :{OUTBOUND_PORT}"
        );
    }
    text
}
