//! Waypoints: routes, and their split as configured against as measured.

use std::collections::BTreeMap;

use serde::Serialize;

use super::flat;
use super::shape::{Point, Totals};
use super::side::{Course, LAYER7, edges};
use crate::pb::{Origin, Route};
use crate::source::Heard;

/// Fields by which edges are summed.
pub(super) const GROUP: &[&str] =
    &["reporter", "waypoint", "route", "rule", "backend", "service", "failure", "protocol"];

#[derive(Debug, Serialize)]
pub(super) struct Page {
    waypoints: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    namespace: String,
    name: String,
    instances: Vec<Instance>,
    totals: Totals,
    points: Vec<Point>,
    routes: Vec<RouteRow>,
}

#[derive(Debug, Serialize)]
struct Instance {
    #[serde(flatten)]
    origin: Origin,
    ready: bool,
}

#[derive(Debug, Serialize)]
struct RouteRow {
    name: String,
    rule: String,
    services: Vec<String>,
    totals: Totals,
    backends: Vec<BackendRow>,
}

#[derive(Debug, Serialize)]
struct BackendRow {
    service: String,
    port: u32,
    weight: u32,
    configured: f64,
    measured: f64,
    totals: Totals,
}

/// What is known of one route's rule.
#[derive(Default)]
struct Known {
    configured: Option<Route>,
    course: Course,
    services: Vec<String>,
    backends: BTreeMap<String, Course>,
}

#[derive(Default)]
struct Waypoint {
    instances: Vec<Instance>,
    course: Course,
    routes: BTreeMap<(String, String), Known>,
}

pub(super) fn page(heard: &[Heard]) -> Page {
    let mut all: BTreeMap<String, Waypoint> = BTreeMap::new();
    for one in heard.iter().filter(|heard| heard.origin.kind == "waypoint") {
        let name = format!("{}/{}", one.origin.namespace, one.origin.gateway);
        let state = one.result.as_ref().ok().and_then(|answer| answer.state.as_ref());
        let ready = state.is_some_and(|state| state.ready);
        let instance = Instance { origin: one.origin.clone(), ready };
        all.entry(name).or_default().instances.push(instance);
    }
    for route in flat::borrowed(heard).filter_map(|a| a.state.as_ref()).flat_map(|s| &s.routes) {
        let waypoint = all.entry(route.waypoint.clone()).or_default();
        let known = waypoint.routes.entry((bare(&route.name), route.rule.clone())).or_default();
        known.configured = Some(route.clone());
        known.services.clone_from(&route.services);
    }
    for (edge, key) in edges(heard).filter(|(_, key)| key.reporter == "waypoint") {
        let waypoint = all.entry(key.waypoint.clone()).or_default();
        waypoint.course.add(edge, LAYER7);
        let known = waypoint.routes.entry((key.route.clone(), key.rule.clone())).or_default();
        known.course.add(edge, LAYER7);
        if !known.services.contains(&key.service) && known.configured.is_none() {
            known.services.push(key.service.clone());
        }
        if !key.backend.is_empty() {
            known.backends.entry(key.backend.clone()).or_default().add(edge, LAYER7);
        }
    }
    Page { waypoints: all.into_iter().map(|(name, waypoint)| waypoint.row(&name)).collect() }
}

/// `namespace/name` of `Kind namespace/name`.
fn bare(name: &str) -> String {
    name.rsplit(' ').next().unwrap_or_default().to_owned()
}

impl Waypoint {
    fn row(self, name: &str) -> Row {
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        let routes = self.routes.into_iter();
        Row {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            instances: self.instances,
            totals: (&self.course.total()).into(),
            points: self.course.points(),
            routes: routes.map(|((name, rule), known)| known.row(name, rule)).collect(),
        }
    }
}

impl Known {
    fn row(self, name: String, rule: String) -> RouteRow {
        let configured = self.configured.map(|route| route.backends).unwrap_or_default();
        let mut measured = self.backends;
        let routed = !name.is_empty();
        let weights: u64 = configured.iter().map(|backend| u64::from(backend.weight)).sum();
        let requests: u64 = measured.values().map(|course| course.total().requests).sum();
        let mut backends = Vec::new();
        for backend in configured {
            let totals = measured.remove(&backend.service).unwrap_or_default().total();
            backends.push(BackendRow {
                configured: share(backend.weight.into(), weights),
                measured: share(totals.requests, requests),
                totals: (&totals).into(),
                service: backend.service,
                port: backend.port,
                weight: backend.weight,
            });
        }
        // What was a backend in the window and is none any longer.
        backends.extend(measured.into_iter().map(|(service, course)| {
            let totals = course.total();
            BackendRow {
                service,
                port: 0,
                weight: 0,
                // Without a route all goes where it was addressed.
                configured: if routed { 0.0 } else { share(totals.requests, requests) },
                measured: share(totals.requests, requests),
                totals: (&totals).into(),
            }
        }));
        RouteRow {
            name,
            rule,
            services: self.services,
            totals: (&self.course.total()).into(),
            backends,
        }
    }
}

fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { (part as f64 / all as f64 * 10_000.0).round() / 10_000.0 }
}
