//! Runs a program in a sandbox: `bed-run NAME PROGRAM [ARGUMENT...]`.
//!
//! Ends with the program's status. The run is listed and can be entered under its name.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, exit};

use testbed::sandbox::{self, Place};

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let (Some(name), Some(program)) = (args.next(), args.next()) else {
        eprintln!("usage: bed-run NAME PROGRAM [ARGUMENT...]");
        return ExitCode::from(2);
    };
    match sandbox::enter(&name.to_string_lossy()) {
        Ok(Place::Inside) => {}
        Ok(Place::Outside(code)) => exit(code),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    // In our place, so that the program itself answers Ctrl-C.
    let mut command = Command::new(&program);
    for key in sandbox::PRIVATE_VARIABLES {
        command.env_remove(key);
    }
    let error = command.args(args).exec();
    eprintln!("{}: {error}", program.display());
    ExitCode::FAILURE
}
