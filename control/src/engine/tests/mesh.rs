//! An engine that files feed, without a source or a network.

use std::sync::{Arc, RwLock};

use crate::deploy::Deployer;
use crate::engine::{Engine, Tables};
use crate::model::object::{Key, Object, ObjectRef};
use crate::model::world::{Site, World};
use crate::source::Update;
use crate::source::files::Files;
use crate::source::read::Context;
use crate::status::Board;

pub(crate) struct Mesh {
    pub(crate) files: Files,
    pub(crate) engine: Engine,
    pub(crate) tables: Tables,
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) board: Board,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        Self::with(Deployer::default())
    }

    pub(crate) fn with(deployer: Deployer) -> Self {
        let site = Site {
            cluster: "c".to_owned(),
            network: String::new(),
            system_namespace: "istio-system".to_owned(),
            domain: "cluster.local".to_owned(),
            kubernetes: false,
        };
        let (tables, board) = (Tables::default(), Board::default());
        let world = Arc::new(RwLock::new(World::new(site)));
        let engine = Engine::new(world.clone(), tables.clone(), board.clone(), deployer);
        let context = Context { mesh_config: Key::new("istio-system", "istio"), has_status: false };
        Self { files: Files::new(context), engine, tables, world, board }
    }

    pub(crate) fn set(&mut self, file: &str, yaml: &str) {
        let changes = self.files.set(file, yaml);
        self.update(changes);
    }

    pub(crate) fn remove(&mut self, file: &str) {
        let changes = self.files.remove(file);
        self.update(changes);
    }

    pub(crate) fn update(&mut self, changes: Vec<(ObjectRef, Option<Object>)>) {
        self.engine.update(Update { changes, problems: Vec::new(), synced: true });
    }
}
