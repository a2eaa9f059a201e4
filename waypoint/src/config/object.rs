//! Names of the user's objects.

use std::fmt;
use std::sync::Arc;

use hbone::wire::pb::ambit::waypoint::v1 as pb;

/// An object of the user: what records and errors name. Displays as `kind/namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// Such as `HTTPRoute`.
    pub kind: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectName {
    /// From the wire; an absent reference is the empty name.
    pub(crate) fn from_wire(object: Option<&pb::ObjectRef>) -> Self {
        let text =
            |get: fn(&pb::ObjectRef) -> &String| object.map_or("", |o| get(o).as_str()).into();
        Self { kind: text(|o| &o.kind), namespace: text(|o| &o.namespace), name: text(|o| &o.name) }
    }
}

impl ObjectName {
    /// The name of a Gateway, which a reference may give without its kind.
    pub(crate) fn gateway(object: &pb::ObjectRef) -> Self {
        Self { kind: "Gateway".into(), ..Self::from_wire(Some(object)) }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}
