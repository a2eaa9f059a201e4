//! Ambit's layer 7 proxy.
//!
//! In the order a request meets it:
//!
//! - [`app`]: all tasks, wired in one place
//! - [`listen`]: HBONE in; [`inbound`]: what is known of a tunnel; [`detect`]: is it HTTP?
//! - [`account`]: what one source uses, and its limits
//! - [`http`]: reading and answering; [`l4`]: what is not HTTP
//! - [`engine`]: one request from head to answer
//! - [`pipeline`]: the stage trait and the order; [`stage`]: a file per stage
//! - [`config`]: wire to compiled routes and policies; [`path`]: the one path of a request
//! - [`token`]: who asks, by a verified token
//! - [`authorize`]: policy decisions and the permit; [`standing`]: ends what they turn against
//! - [`directory`]: workloads and services; the choice of an endpoint
//! - [`upstream`]: tunnels, pools, tries
//! - [`failure`]: why we answer ourselves; [`record`]: a request's one record
//! - [`state`]: what discovery told

// A `match` that names both cases reads as the table that it is.
#![allow(clippy::single_match_else)]

pub mod account;
pub mod app;
pub mod authorize;
pub mod config;
pub mod detect;
pub mod directory;
pub mod engine;
pub mod failure;
pub mod http;
pub mod inbound;
pub mod l4;
pub mod listen;
pub mod path;
pub mod pipeline;
pub mod record;
pub mod stage;
pub mod standing;
pub mod state;
pub mod token;
pub mod upstream;

pub use app::{App, Config};
