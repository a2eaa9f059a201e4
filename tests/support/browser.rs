//! The browser tests of the pages, run against pages that somebody serves.

use std::path::Path;
use std::time::Duration;

use testbed::Testbed;

/// All browser tests together, on a busy machine.
const LIMIT: Duration = Duration::from_secs(800);

/// Runs them against `url` where the bed's own programs run; `variables` are about what is to be
/// seen there.
pub(crate) async fn look(
    bed: &Testbed,
    url: &str,
    variables: &[(&str, String)],
) -> anyhow::Result<()> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("control/observe/web");
    let tests = ["pages", "state", "live", "keyboard"];
    let files = tests.map(|name| web.join(format!("tests/browser/{name}.test.mjs")));
    let mut command = bed.command("node").named("browser").args(["--test", "--test-concurrency=1"]);
    command = command.args(&files).env("AMBIT_URL", url);
    for (name, value) in variables {
        command = command.env(name, value);
    }
    let process = command.spawn()?;
    process.wait(LIMIT).await?.success()?;
    Ok(())
}
