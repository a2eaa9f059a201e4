//! Ambit's node agent: which pods of a node take part in the mesh, and how their traffic gets
//! to the proxy. It sees no traffic itself.
//!
//! In the order a pod meets them:
//!
//! - [`source`]: where pods come from and reports go
//! - [`pod`]: its facts
//! - [`enrol`]: whether it takes part, a pure decision
//! - [`handle`]: its network namespace, opened with care
//! - [`redirect`]: the rules in it
//! - [`flows`]: its connections, counted
//! - [`zds`]: the namespace handed to the proxy
//! - [`enrolment`]: the order of these steps, a task per pod
//! - [`pods`]: all of them
//! - [`cni`]: the call that announces a pod before it starts
//! - [`plugin`]: the program that makes this call
//! - [`install`]: which is put on the node, and kept there
//! - [`agent`]: everything, wired
//! - [`service`]: the agent of a node with `control`, its settings and its HTTP pages
//! - [`machine`]: ztunnel and waypoints as child processes, where there is no kubelet
//! - [`saved`]: what survives a restart of the agent
//! - [`netlink`]: sockets for routes and links
//! - [`metrics`]: what is counted

pub mod agent;
mod atomic;
pub mod cni;
pub mod enrol;
pub mod enrolment;
pub mod flows;
pub mod handle;
pub mod install;
pub mod machine;
pub mod metrics;
pub mod netlink;
pub mod plugin;
pub mod pod;
pub mod pods;
pub mod redirect;
pub mod saved;
pub mod service;
pub mod source;
pub mod zds;

/// An error and its causes in one line, for logs and for reports to people.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}
