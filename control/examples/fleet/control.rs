//! The control plane: the real program, on a directory, on the loopback address.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// How long it may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// Life of the credentials: longer than any measurement.
const LIFE: &str = "7d";

/// A control plane that runs; it ends with the value.
pub(crate) struct Control {
    program: PathBuf,
    state: PathBuf,
    listen: u16,
    admin: u16,
    process: Child,
}

/// Memory of the process, in bytes.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Control {
    pub(crate) fn start(program: &Path, mesh: &Path, state: &Path) -> anyhow::Result<Self> {
        let (listen, admin) = (free_port()?, free_port()?);
        let log = std::fs::File::create(state.with_extension("log"))?;
        let process = Command::new(program)
            .env("CONTROL_DIRECTORY", mesh)
            .env("CONTROL_STATE", state)
            .env("CONTROL_LISTEN", format!("127.0.0.1:{listen}"))
            .env("CONTROL_ADMIN", format!("127.0.0.1:{admin}"))
            .env("CREDENTIAL_LIFE", LIFE)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{}: ./dev bench fleet builds it", program.display()))?;
        Ok(Self { program: program.into(), state: state.into(), listen, admin, process })
    }

    /// Waits until it has read the manifests.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let answer = crate::ask::get(self.admin, "/ready").await;
            if answer.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            ensure!(
                self.process.try_wait()?.is_none(),
                "control ended; see {}",
                self.log().display()
            );
            ensure!(
                begun.elapsed() < PATIENCE,
                "control is not ready; see {}",
                self.log().display()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> PathBuf {
        self.state.with_extension("log")
    }

    /// A join token, as an operator makes it.
    pub(crate) fn token(&self, node: &str) -> anyhow::Result<String> {
        let made = Command::new(&self.program)
            .arg("--state")
            .arg(&self.state)
            .args(["token", node])
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(String::from_utf8(made.stdout)?.trim().to_owned())
    }

    pub(crate) fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.listen)
    }

    pub(crate) fn root_certificate(&self) -> PathBuf {
        self.state.join("root-cert.pem")
    }

    pub(crate) fn admin(&self) -> u16 {
        self.admin
    }

    pub(crate) fn memory(&self) -> Memory {
        let status = self.proc("status");
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or_default() << 10
        };
        Memory { resident: of("VmRSS:"), peak: of("VmHWM:") }
    }

    /// CPU time of all its threads, in seconds; the kernel counts hundredths.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = self.proc("stat");
        // The name, in brackets, may have spaces.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).filter_map(|text| text.parse::<f64>().ok()).sum();
        ticks / 100.0
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).unwrap_or_default()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
