//! The process that owns a cluster which `up` leaves running.

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Instant;

use testbed::sandbox::{self, Place};

use crate::outside::{self, Outside};
use crate::plan::Plan;
use crate::{Cluster, folders};

/// Runs the cluster `name` until it is told to end.
pub fn run(name: &str, nodes: u8) -> ExitCode {
    match sandbox::enter(&outside::run_name(name)) {
        Ok(Place::Outside(code)) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
        Ok(Place::Inside) => match inside(name, nodes) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn inside(name: &str, nodes: u8) -> anyhow::Result<()> {
    let binaries = folders::binaries()?;
    let plan = Plan::new(name, nodes, &folders::target(), &std::env::current_exe()?);
    let here = Outside::new(name);
    let reached: [IpAddr; 1] = [here.addresses().1.into()];
    let began = Instant::now();
    let say = |what: &str| eprintln!("{:6.1} s  {what}", began.elapsed().as_secs_f64());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let _cluster = Cluster::start(&plan, &binaries, &reached, &say).await?;
        say("ready");
        here.mark_ready()?;
        std::future::pending::<()>().await;
        Ok(())
    })
}
