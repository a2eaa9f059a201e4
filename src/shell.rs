//! `ambit completions` and `ambit man`: made from the command line itself, so that they are true.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::terminal::format::write_out;

/// For which shell.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompletionOptions {
    /// The shell
    shell: Shell,
}

/// Where to.
#[derive(Clone, Debug, Args)]
pub(crate) struct ManOptions {
    /// Write a page for each command into this directory: ambit.1, ambit-status.1 and so on
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Writes a completion script to stdout: `source <(ambit completions bash)`.
///
/// # Errors
/// If stdout takes nothing.
pub(crate) fn completions(
    options: &CompletionOptions,
    command: Command,
) -> anyhow::Result<ExitCode> {
    let mut command = without_hidden(command);
    let name = command.get_bin_name().unwrap_or("ambit").replace(' ', "-");
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut command, name, &mut text);
    write_out(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the manual.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn manual(options: &ManOptions, command: Command) -> anyhow::Result<ExitCode> {
    let command = without_hidden(command).disable_help_subcommand(true);
    match &options.directory {
        Some(directory) => {
            std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
            let count = pages(&command, "ambit", directory)?;
            eprintln!("{count} pages in {}", directory.display());
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command.name("ambit")).render(&mut page)?;
            write_out(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A page for a command and for each below it; returns how many.
fn pages(command: &Command, name: &str, directory: &Path) -> anyhow::Result<usize> {
    let path = directory.join(format!("{name}.1"));
    let mut page = Vec::new();
    // clap wants names that live as long as the program.
    let page_name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    clap_mangen::Man::new(command.clone().name(page_name).bin_name(name.replace('-', " ")))
        .render(&mut page)?;
    std::fs::write(&path, page).with_context(|| path.display().to_string())?;
    let mut count = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        count += pages(below, &format!("{name}-{}", below.get_name()), directory)?;
    }
    Ok(count)
}

/// Without the daemons, which nobody types.
fn without_hidden(command: Command) -> Command {
    let shown: Vec<Command> =
        command.get_subcommands().filter(|below| !below.is_hide_set()).cloned().collect();
    let mut bare = Command::new("ambit")
        .args(command.get_arguments().cloned())
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(shown);
    if let Some(about) = command.get_about() {
        bare = bare.about(about.clone());
    }
    match command.get_bin_name() {
        Some(name) => bare.bin_name(name),
        None => bare,
    }
}
