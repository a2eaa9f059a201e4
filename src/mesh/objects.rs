//! Objects as their authors write them, from an API server or from files.

use std::path::PathBuf;

use serde_json::Value;

/// An object, and where it is written.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// The whole object.
    pub(crate) value: Value,
    /// The file, and which document of it, from 1; none of a cluster.
    pub(crate) place: Option<(PathBuf, usize)>,
}

impl Object {
    fn text(&self, path: &str) -> &str {
        self.value.pointer(path).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Its namespace, or empty; `default` where a file names none.
    pub(crate) fn namespace(&self) -> &str {
        match (self.text("/metadata/namespace"), self.kind()) {
            ("", "Namespace" | "Node" | "GatewayClass") => "",
            ("", _) => "default",
            (namespace, _) => namespace,
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `namespace/name`, or the name alone.
    pub(crate) fn key(&self) -> String {
        match self.namespace() {
            "" => self.name().to_owned(),
            namespace => format!("{namespace}/{}", self.name()),
        }
    }

    /// `Kind namespace/name`.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.kind(), self.key())
    }

    /// A label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.value.get("metadata")?.get("labels")?.get(name)?.as_str()
    }

    /// An annotation.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.value.get("metadata")?.get("annotations")?.get(name)?.as_str()
    }
}

/// Objects of every namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    /// All of them.
    pub(crate) all: Vec<Object>,
}

impl Objects {
    /// Those of a kind.
    pub(crate) fn of(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.all.iter().filter(move |object| object.kind() == kind)
    }

    /// The first of that name: as control has it, the first of equal ones counts.
    pub(crate) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        self.of(kind).find(|object| object.namespace() == namespace && object.name() == name)
    }
}
