//! The custom resources that the mesh reads, as their authors write them.
//!
//! The types of the Kubernetes core come from `k8s-openapi`; these have no crate of theirs
//! that is small. docs/wire.md, "Objects".

pub mod gateway;
pub mod mesh;
pub mod networking;
pub mod security;
