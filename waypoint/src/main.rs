//! The waypoint's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    match waypoint::app::run_from_env() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("waypoint: {error:#}");
            ExitCode::FAILURE
        }
    }
}
