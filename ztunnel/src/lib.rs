//! Ambit's node proxy.
//!
//! In the order data meets it:
//!
//! - [`state`]: what the proxy knows of the mesh
//! - [`decide`]: where a connection goes and whether it may; pure
//! - [`sockets`]: every socket inside a pod's network namespace
//! - [`cert`]: a certificate per identity, rotation
//! - [`proxy`]: the data path of a pod: a file per listener
//! - [`workload`]: pods handed over by the node agent
//! - [`record`]: a connection's one record: metrics and log
//! - [`app`]: all tasks, wired in one place
//! - [`config`]: what the environment says
//! - [`allocator`], `text`: what becomes of freed buffers, and of code that only the start needed

pub mod allocator;
pub mod app;
pub mod cert;
pub mod config;
pub mod decide;
pub mod proxy;
pub mod record;
pub mod sockets;
pub mod state;
mod text;
pub mod workload;

use std::process::ExitCode;

use hbone::telemetry::Logging;

/// The whole program: log, settings, proxy. Settings come from the environment only, so that
/// a node proxy can be swapped for another of the same contract.
pub fn main_from_env() -> ExitCode {
    let kept = allocator::keep_buffers();
    let logging = match Logging::from_env() {
        Ok(logging) => logging,
        Err(error) => {
            eprintln!("ztunnel: {error}");
            return ExitCode::FAILURE;
        }
    };
    if !kept {
        tracing::warn!("the allocator gives every buffer back; bulk transfers cost more");
    }
    let result = config::Config::from_env()
        .map_err(anyhow::Error::from)
        .and_then(|config| app::run(config, &logging));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format_args!("{error:#}"), "ztunnel ends");
            logging.flush();
            ExitCode::FAILURE
        }
    }
}
