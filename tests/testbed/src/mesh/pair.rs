//! The usual case: a client on one node, a server on another.

use std::path::PathBuf;

use super::pod::MeshPod;
use super::service::MeshService;
use super::{Mesh, MeshError, MeshOptions};
use crate::bed::Testbed;

/// A mesh with `shop/web` on `node-a` and `shop/store` on `node-b`. The store echoes on port
/// 7, and the service `store` leads there from port 80.
pub struct Pair {
    /// The mesh.
    pub mesh: Mesh,
    /// The client.
    pub web: MeshPod,
    /// The server.
    pub store: MeshPod,
    /// Its service.
    pub service: MeshService,
}

impl Pair {
    /// Starts a mesh with both pods enrolled.
    ///
    /// # Errors
    /// As [`MeshOptions::start`].
    pub async fn enrolled(bed: &Testbed, ambit: impl Into<PathBuf>) -> Result<Self, MeshError> {
        Self::in_mesh(Mesh::start(bed, ambit).await?, true).await
    }

    /// Starts a mesh in which neither takes part yet.
    ///
    /// # Errors
    /// As [`MeshOptions::start`].
    pub async fn plain(bed: &Testbed, ambit: impl Into<PathBuf>) -> Result<Self, MeshError> {
        Self::in_mesh(Mesh::start(bed, ambit).await?, false).await
    }

    /// Starts a mesh as it is set, with both pods enrolled.
    ///
    /// # Errors
    /// As [`MeshOptions::start`].
    pub async fn with(bed: &Testbed, options: &MeshOptions) -> Result<Self, MeshError> {
        Self::in_mesh(options.start(bed).await?, true).await
    }

    async fn in_mesh(mesh: Mesh, enrolled: bool) -> Result<Self, MeshError> {
        if enrolled {
            mesh.enrol("shop")?;
        }
        let web = mesh.pod("shop/web").on("node-a").await?;
        let store = mesh.pod("shop/store").on("node-b").echoing().await?;
        let service = mesh.service("shop/store").port(80, 7).create()?;
        if enrolled {
            web.is_enrolled().await?;
            store.is_enrolled().await?;
        } else {
            store.is_plain().await?;
        }
        mesh.has_service(&service).await?;
        Ok(Self { mesh, web, store, service })
    }
}
