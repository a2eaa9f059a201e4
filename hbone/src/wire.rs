//! The messages of the contracts, generated from `hbone/proto`.
//!
//! docs/wire.md describes each; the checked conversions to the types that the proxies decide
//! on stand beside them: [`workload`] and [`authorization`].

pub mod address;
pub mod authorization;
pub mod error;
pub mod intern;
pub mod workload;

/// Generated code, a module per protobuf package: `pb::istio::workload`, and so on.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications)]
pub mod pb {
    include!(concat!(env!("OUT_DIR"), "/wire.rs"));
}
