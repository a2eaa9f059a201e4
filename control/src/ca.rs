//! The certificate authority: an on-disk root that signs short-lived workload certificates.
//!
//! - [`root`]: the root, made once
//! - [`issue`]: how leaves are made
//! - [`service`]: the certificate service and its rules of who gets which identity
//! - [`metrics`]: what is counted

pub mod issue;
pub mod metrics;
pub mod root;
pub mod service;
