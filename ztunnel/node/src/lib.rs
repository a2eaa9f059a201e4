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

mod atomic;
pub mod enrol;
pub mod flows;
pub mod handle;
pub mod pod;
pub mod redirect;
pub mod source;
pub mod zds;
