//! The program's own code in memory.
//!
//! The start runs code that an idle proxy never needs again, and the kernel maps what is near
//! each page that it loads. All of it counts as resident until somebody else wants the memory.
#![allow(unsafe_code)]

use std::time::Duration;
use std::{fs, io};

use tokio_util::sync::CancellationToken;
use tracing::debug;

/// When the start is over.
const FIRST: Duration = Duration::from_secs(10);
/// How often what somebody needed once, such as a page, is given back.
const EVERY: Duration = Duration::from_hours(1);

/// Gives back what the start needed, and then now and again what was needed once, until `quit`.
pub(crate) async fn keep_small(quit: CancellationToken) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = quit.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        match release() {
            Ok(bytes) => debug!(bytes, "pages of code given back"),
            Err(error) => debug!(%error, "pages of code are kept"),
        }
        wait = EVERY;
    }
}

/// Unmaps the pages of the program's code; what is needed again comes back from the page cache.
/// Returns how many bytes of address space that concerns.
///
/// # Errors
/// If `/proc` does not tell where the code is, or the kernel refuses.
fn release() -> io::Result<usize> {
    let program = fs::read_link("/proc/self/exe")?;
    let program = program.to_string_lossy();
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut released = 0;
    for (start, end) in maps.lines().filter_map(|line| code_of(line, &program)) {
        // SAFETY: the range is a private mapping of the program's file, executable and not
        // writable, so its pages are those of the file: the linker writes no text relocations
        // into it (they would need it to be writable), and the kernel refuses writes to the file
        // of a running program. A page that was dropped is the same when it is loaded again.
        let refused = unsafe { libc::madvise(start as *mut _, end - start, libc::MADV_DONTNEED) };
        if refused != 0 {
            return Err(io::Error::last_os_error());
        }
        released += end - start;
    }
    Ok(released)
}

/// The range of a line of `/proc/self/maps` (proc(5)) that is code of `program`.
fn code_of(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut words = line.split_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    // Offset, device, inode; the rest is the path, which may have spaces.
    let path = line.find('/').and_then(|at| line.get(at..))?;
    if rights != "r-xp" || path.trim_end() != program {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let address = |text: &str| usize::from_str_radix(text, 16).ok();
    address(start).zip(address(end)).filter(|(start, end)| start < end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_the_program_is_meant() {
        let line = "5581c0a00000-5581c1800000 r-xp 00200000 fe:00 1234  /opt/a b/ztunnel";
        let found = code_of(line, "/opt/a b/ztunnel");
        assert_eq!(found, Some((0x5581_c0a0_0000, 0x5581_c180_0000)));
        for (line, program) in [
            (line, "/opt/ztunnel"),
            ("5581c0a00000-5581c1800000 rw-p 00200000 fe:00 1234  /z", "/z"),
            ("5581c0a00000-5581c1800000 r--p 00200000 fe:00 1234  /z", "/z"),
            ("5581c0a00000-5581c1800000 r-xp 00000000 00:00 0  [vdso]", "/z"),
            ("5581c0a00000-5581c1800000 r-xp 00200000 fe:00 1234  /z (deleted)", "/z"),
            ("", "/z"),
        ] {
            assert_eq!(code_of(line, program), None, "{line}");
        }
    }

    #[test]
    fn the_program_goes_on() {
        let before: u64 = (0..1000).sum();
        assert!(release().expect("released") > 0);
        assert_eq!((0..1000).sum::<u64>(), before);
    }
}
