//! The CNI plugin as a program: it is run by the container runtime for each pod.

use std::io::Read as _;
use std::process::ExitCode;

use ztunnel_node::plugin::{self, PluginError, VERSIONS, request::Request};

/// Longest configuration that is read, bytes.
const MAX_INPUT: u64 = 1 << 20;

fn main() -> ExitCode {
    let mut input = Vec::new();
    // What cannot be read is no configuration, and is told as such.
    let _ = std::io::stdin().take(MAX_INPUT).read_to_end(&mut input);
    let request = Request::read(|name| std::env::var(name).ok(), &input);
    let version = match &request {
        Ok(request) => request.config.cni_version.clone(),
        Err(_) => VERSIONS[0].to_owned(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = match (request, runtime) {
        (Ok(request), Ok(runtime)) => runtime.block_on(plugin::run(&request)),
        (Err(error), _) => Err(PluginError::from(error)),
        (_, Err(error)) => {
            eprintln!("ambit-cni: {error}");
            return ExitCode::FAILURE;
        }
    };
    match answer {
        Ok(answer) => {
            if let Some(answer) = answer {
                println!("{answer}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", error.to_json(&version));
            ExitCode::FAILURE
        }
    }
}
