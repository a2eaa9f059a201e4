//! Keys, certificate requests, certificates, and the TLS 1.3 that the mesh speaks
//! (docs/wire.md, "Transport security" and "Certificates").
//!
//! - [`CertificateRequest`]: a fresh key and the CSR for it
//! - [`WorkloadCertificate`]: a leaf with its chain, key and roots, ready for both sides of TLS
//! - [`PeerError`]: why a peer's certificate is not taken
//! - [`control_plane_client_config`]: TLS to the control plane, verified by name

mod certificate;
mod control_plane;
mod leaf;
mod provider;
mod request;
mod verify;

pub use certificate::{CertificateError, WorkloadCertificate};
pub use control_plane::{RootsError, control_plane_client_config};
pub use leaf::{LeafError, leaf_identity};
pub use provider::{ALPN_H2, crypto_provider};
pub use request::{CertificateRequest, RequestError};
pub use verify::PeerError;

#[cfg(test)]
pub(crate) mod tests;
