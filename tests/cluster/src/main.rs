//! `./dev cluster`: a Kubernetes cluster on this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cluster::outside::Outside;
use cluster::{folders, node_init};

/// A real Kubernetes cluster on one machine: nodes as namespaces, kubelets, containers.
#[derive(Debug, Parser)]
#[command(name = "ambit-cluster", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the programs of Kubernetes and nothing else
    Build,
    /// Start a cluster and leave it running
    Up {
        #[command(flatten)]
        which: Which,
        /// How many nodes
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=26))]
        nodes: u8,
    },
    /// End a cluster and remove everything of it
    Down {
        #[command(flatten)]
        which: Which,
    },
    /// Say what runs
    Status {
        #[command(flatten)]
        which: Which,
    },
    /// The process that owns a cluster
    #[command(hide = true)]
    Run {
        #[command(flatten)]
        which: Which,
        #[arg(long)]
        nodes: u8,
    },
    /// The first process of a node
    #[command(hide = true)]
    NodeInit { spec: PathBuf },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Name of the cluster: 1 to 12 of a-z and 0-9
    #[arg(long, default_value = "main", value_parser = name)]
    name: String,
}

/// It becomes a part of interface names, which have at most 15 letters.
fn name(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !(1..=12).contains(&text.len()) || !text.bytes().all(good) {
        return Err(format!("{text:?} is no name; write 1 to 12 of a-z and 0-9"));
    }
    Ok(text.to_owned())
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.command {
        Command::Build => folders::binaries().map(drop),
        Command::Up { which, nodes } => Outside::new(&which.name).up(*nodes),
        Command::Down { which } => Outside::new(&which.name).down(),
        Command::Status { which } => Outside::new(&which.name).status(),
        Command::Run { which, nodes } => return cluster::owner::run(&which.name, *nodes),
        Command::NodeInit { spec } => node_init::main(spec),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
