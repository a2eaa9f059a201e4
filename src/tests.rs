//! The command line as a user meets it.

use clap::{CommandFactory as _, Parser as _};

use super::{Cli, Command};

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn people_see_their_commands_and_no_daemons() {
    let help = Cli::command().render_help().to_string();
    let listed = |name: &str| help.lines().any(|line| line.trim_start().starts_with(name));
    for (name, shown) in [("exec ", true), ("node ", true), ("control ", false), ("ztunnel", false)]
    {
        assert_eq!(listed(name), shown, "{name} in {help}");
    }
}

#[test]
fn what_follows_two_hyphens_belongs_to_the_command_inside() {
    let cli = Cli::try_parse_from(["ambit", "exec", "shop/web", "--", "curl", "-s", "--help"]);
    let Command::Exec(options) = cli.expect("it parses").command else { panic!("not exec") };
    assert_eq!(options.command(), ["curl", "-s", "--help"]);
}

#[test]
fn exec_without_a_command_is_refused() {
    let error = Cli::try_parse_from(["ambit", "exec", "shop/web"]).expect_err("no command");
    assert!(error.to_string().contains("<COMMAND>"), "{error}");
}
