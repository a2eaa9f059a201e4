//! One program kept running: restarted with backoff when it ends, killed when it hangs,
//! drained when we stop.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hbone::netns::Netns;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::process::{Process, forget};
use super::{Program, SupervisorTiming};
use crate::source::Backoff;

/// A program that ran so long before it ended is started again at once.
const HEALTHY: Duration = Duration::from_secs(10);

/// Why a run of the program came to its end.
enum End {
    Itself(io::Result<Option<std::process::ExitStatus>>),
    Hung,
    Stopping,
}

/// Runs `program` until `stop`, then sends SIGTERM and waits for its drain.
///
/// Its output goes where ours goes. It inherits our environment, with the program's own
/// variables on top. What a supervisor before us left running is taken over.
pub async fn supervise(program: Program, timing: SupervisorTiming, stop: CancellationToken) {
    let mut left = Process::take_over(&program, timing.drain).await;
    let mut backoff = Backoff::new(Duration::from_millis(100), timing.retry);
    while !stop.is_cancelled() {
        let started = Instant::now();
        match left.take().map_or_else(|| start(&program), Ok) {
            Ok(mut process) => {
                let end = watch(&program, &mut process, &timing, &stop).await;
                finish(&program, process, end, &timing).await;
            }
            Err(error) => warn!(program = program.name, %error, "program does not start"),
        }
        if started.elapsed() >= HEALTHY {
            backoff.reset();
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.delay()) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn start(program: &Program) -> io::Result<Process> {
    let process = Process::start(program)?;
    info!(program = program.name, pid = process.pid(), "program started");
    Ok(process)
}

async fn watch(
    program: &Program,
    process: &mut Process,
    timing: &SupervisorTiming,
    stop: &CancellationToken,
) -> End {
    tokio::select! {
        ended = process.wait() => End::Itself(ended),
        () = hung(program, timing) => End::Hung,
        () = stop.cancelled() => End::Stopping,
    }
}

/// Ready when the program has stopped answering.
async fn hung(program: &Program, timing: &SupervisorTiming) {
    let Some(address) = program.readiness else { return std::future::pending().await };
    let started = Instant::now();
    let mut ticks = interval(timing.probe);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut answered, mut failures) = (false, 0);
    loop {
        ticks.tick().await;
        let answer = timeout(timing.answer, asks(program.netns.as_deref(), address)).await;
        // One that says "not ready" shows life too.
        if matches!(answer, Ok(Ok(Some(_)))) {
            (answered, failures) = (true, 0);
        } else {
            failures += 1;
        }
        let starting = !answered && started.elapsed() < timing.start;
        if failures >= timing.failures && !starting {
            return;
        }
    }
}

/// The status of the answer to a question for readiness; `None` for what is no HTTP.
pub(super) async fn asks(netns: Option<&Netns>, address: SocketAddr) -> io::Result<Option<u16>> {
    let open = || if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = match netns {
        Some(netns) => netns.run(open)??,
        None => open()?,
    };
    let mut stream = socket.connect(address).await?;
    let request = "GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    let text = std::str::from_utf8(&start).ok();
    let status = text.and_then(|text| text.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok());
    Ok(status)
}

async fn finish(program: &Program, mut process: Process, end: End, timing: &SupervisorTiming) {
    match end {
        End::Itself(Ok(status)) => {
            let status = status.map(|status| status.to_string());
            warn!(program = program.name, status, "program ended");
        }
        End::Itself(Err(error)) => warn!(program = program.name, %error, "program lost"),
        End::Hung => {
            warn!(program = program.name, "program does not answer and is killed");
            force(program, &mut process).await;
        }
        End::Stopping => {
            process.terminate();
            if timeout(timing.drain, process.wait()).await.is_err() {
                warn!(program = program.name, "program did not drain in time and is killed");
                force(program, &mut process).await;
            }
            forget(program.record.as_ref());
            info!(program = program.name, "program stopped");
        }
    }
}

async fn force(program: &Program, process: &mut Process) {
    if let Err(error) = process.kill().await {
        warn!(program = program.name, %error, "program cannot be killed");
    }
}
