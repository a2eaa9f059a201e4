//! Ambit on a real Kubernetes cluster, each scenario on one of its own.

#[path = "../support/browser.rs"]
mod browser;

mod api;
mod dashboard_access;
mod enrolment;
mod manifests;
mod shop;
mod sources;
mod waypoints;
