//! The shared kernel of Ambit: what more than one of its programs needs.
//!
//! In the order data meets it:
//!
//! - [`brand`]: the one prefix of ours for names that no standard gives
//! - [`identity`]: SPIFFE identities and trust domains
//! - [`tls`]: keys, certificate requests, certificates and peer verification
//! - [`channel`]: the way to the control plane
//! - [`xds`]: the delta discovery client
//! - [`label`]: labels and annotations of the contract
//! - [`ca`]: the client of the certificate authority
//! - [`netns`]: a network namespace as a value
//! - [`tunnel`]: HBONE: CONNECT client with its pool, and server
//! - [`relay`]: bytes both ways between a socket and a tunnel
//! - [`resolve`]: addresses of host names
//! - [`matching`]: what policies compare
//! - [`telemetry`]: logs and metrics as the contracts name them
//! - [`serve`]: readiness, metrics and admin over HTTP
//! - [`wire`]: the messages of the contracts, and their checked conversion to types

pub mod brand;
pub mod ca;
pub mod channel;
pub mod identity;
pub mod label;
pub mod matching;
pub mod netns;
pub mod relay;
pub mod resolve;
pub mod serve;
pub mod telemetry;
pub mod tls;
pub mod tunnel;
pub mod wire;
pub mod xds;
