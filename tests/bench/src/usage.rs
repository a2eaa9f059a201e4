//! What a process has used, from proc(5).

use std::fs;

use anyhow::Context as _;

/// Seconds of processor time that a process has used, in its own code and in the kernel,
/// including threads that have ended. To 10 ms.
///
/// # Errors
/// If there is no such process.
pub fn cpu_seconds(pid: i32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let ticks = ticks(&text).with_context(|| format!("{path} has no utime and stime"))?;
    let rate = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok(ticks as f64 / rate as f64)
}

/// utime and stime, the fields 14 and 15; the name before them may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let after_name = stat.get(stat.rfind(')')? + 1..)?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// KiB of memory that a process has in RAM, what it shares counted in full.
///
/// # Errors
/// If there is no such process.
pub fn resident_kib(pid: i32) -> anyhow::Result<u64> {
    field(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// KiB of memory that a process has in RAM, what it shares divided by those who share it:
/// right for the sum over many processes of one program.
///
/// # Errors
/// If there is no such process.
pub fn proportional_kib(pid: i32) -> anyhow::Result<u64> {
    field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

fn field(path: &str, name: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    kib(&text, name).with_context(|| format!("{path} has no {name}"))
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 4 0 9 9 9";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn memory_is_read_by_its_name() {
        let status = "Name:\tztunnel\nVmRSS:\t   12345 kB\nThreads:\t4\n";
        assert_eq!(kib(status, "VmRSS:"), Some(12345));
        assert_eq!(kib(status, "Pss:"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let pid = std::process::id().cast_signed();
        assert!(resident_kib(pid).expect("it runs") > 100);
        assert!(proportional_kib(pid).expect("it runs") > 100);
        assert!(cpu_seconds(pid).expect("it runs") >= 0.0);
        assert!(cpu_seconds(-1).is_err());
    }
}
