//! What the pages show, out of what proxies answer (docs/observe.md, "HTTP API").
//!
//! Each page says which question it asks, and makes its view of the answers. A proxy's view of a
//! connection is one side of it: [`side`] says which counts for what.

mod flat;
mod graph;
mod node;
mod policy;
pub mod shape;
mod side;
mod waypoint;
mod workload;

use serde_json::Value;

use self::shape::Framed;
use crate::pb::{Filter, Query};
use crate::source::Heard;

/// A page of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// The records themselves.
    Answer,
    /// Who talks to whom.
    Mesh(graph::Group),
    /// All nodes.
    Nodes,
    /// One node.
    Node(String),
    /// All workloads.
    Workloads,
    /// One workload: namespace and name.
    Workload(String, String),
    /// Waypoints and their routes.
    Waypoints,
    /// What policies decided.
    Policies,
    /// Certificates of now.
    Certificates,
    /// What failed.
    Incidents,
    /// What changed.
    Events,
    /// Open connections.
    Connections,
}

impl Page {
    /// The page at a path below `/api/v1/`; `group` is that parameter.
    ///
    /// # Errors
    /// If `group` is no group of that page. None if there is no such page.
    pub fn at(path: &str, group: Option<&str>) -> Option<Result<Self, String>> {
        let name = |text: &str| Some(text.to_owned()).filter(|name| !name.is_empty());
        let parts: Vec<&str> = path.split('/').collect();
        let page = match *parts.as_slice() {
            ["answer"] => Self::Answer,
            ["mesh"] => return Some(graph::Group::parse(group).map(Self::Mesh)),
            ["nodes"] => Self::Nodes,
            ["nodes", node] => Self::Node(name(node)?),
            ["workloads"] => Self::Workloads,
            ["workloads", namespace, workload] => {
                Self::Workload(namespace.to_owned(), name(workload)?)
            }
            ["waypoints"] => Self::Waypoints,
            ["policies"] => Self::Policies,
            ["certificates"] => Self::Certificates,
            ["incidents"] => Self::Incidents,
            ["events"] => Self::Events,
            ["connections"] => Self::Connections,
            _ => return None,
        };
        Some(Ok(page))
    }

    /// Whether it shows a course of time, and so has steps unless it is asked not to.
    pub fn has_steps(&self) -> bool {
        !matches!(
            self,
            Self::Answer
                | Self::Mesh(_)
                | Self::Workloads
                | Self::Certificates
                | Self::Incidents
                | Self::Events
                | Self::Connections
        )
    }

    /// The question, out of the one that was asked over HTTP.
    pub fn question(&self, asked: Query) -> Query {
        let (want, group): (&[&str], &[&str]) = match self {
            Self::Answer => return asked,
            Self::Mesh(_) => (&["edges", "state"], &[]),
            Self::Nodes => (&["edges", "costs", "state"], &["reporter", "failure"]),
            Self::Node(_) => {
                (&["edges", "costs", "state", "connections", "incidents", "events"], node::GROUP)
            }
            Self::Workloads => (&["edges", "state"], workload::LIST),
            Self::Workload(..) => (&["edges", "state", "incidents"], &[]),
            Self::Waypoints => (&["edges", "state"], waypoint::GROUP),
            Self::Policies => (&["edges", "state", "incidents"], policy::GROUP),
            Self::Certificates => (&["state"], &[]),
            Self::Incidents => (&["incidents"], &[]),
            Self::Events => (&["events"], &[]),
            Self::Connections => (&["connections"], &[]),
        };
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let mut filter = asked.filter.clone().unwrap_or_default();
        match self {
            Self::Node(name) => filter.node.clone_from(name),
            Self::Workload(namespace, name) => {
                filter = Filter { namespace: namespace.clone(), workload: name.clone(), ..filter };
            }
            _ => {}
        }
        Query { want: texts(want), group: texts(group), filter: Some(filter), ..asked }
    }

    /// The page, out of the answers to its question, for one who reads it here.
    ///
    /// # Errors
    /// As [`Page::json`].
    pub fn show(&self, heard: &[Heard], limit: usize) -> serde_json::Result<Value> {
        serde_json::from_slice(&self.json(heard, limit)?)
    }

    /// The page as JSON, out of the answers to its question.
    ///
    /// # Errors
    /// If it cannot be written, which would be a fault of ours.
    pub fn json(&self, heard: &[Heard], limit: usize) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Answer => {
                let all = crate::merge::merge(flat::borrowed(heard).cloned(), limit);
                let mut all = serde_json::to_value(all)?;
                // The frame says them, and no object may say a thing twice.
                for of_frame in ["fromMs", "toMs", "stepMs", "oldestMs"] {
                    all.as_object_mut().and_then(|all| all.remove(of_frame));
                }
                Framed::of(heard, all)
            }
            Self::Mesh(group) => Framed::of(heard, graph::graph(heard, *group)),
            Self::Nodes => Framed::of(heard, node::cards(heard)),
            Self::Node(name) => Framed::of(heard, node::page(heard, name, limit)),
            Self::Workloads => Framed::of(heard, workload::list(heard)),
            Self::Workload(namespace, name) => {
                Framed::of(heard, workload::page(heard, namespace, name, limit))
            }
            Self::Waypoints => Framed::of(heard, waypoint::page(heard)),
            Self::Policies => Framed::of(heard, policy::page(heard, limit)),
            Self::Certificates => Framed::of(heard, flat::certificates(heard)),
            Self::Incidents => Framed::of(heard, flat::incidents(heard, limit)),
            Self::Events => Framed::of(heard, flat::events(heard, limit)),
            Self::Connections => Framed::of(heard, flat::connections(heard, limit)),
        }
    }
}

#[cfg(test)]
mod tests;
