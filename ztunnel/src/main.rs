//! The node proxy's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ztunnel::main_from_env()
}
