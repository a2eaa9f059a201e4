//! The stages, a file each.

pub mod ext_authz;
pub mod jwt;
pub mod matching;
pub mod policy;
pub mod rewrite;
