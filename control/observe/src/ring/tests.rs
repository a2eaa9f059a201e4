//! What is written is read again, by another process, and no more than there is room for.

use std::io::Write as _;

use super::*;
use crate::pb::Party;

fn ring(directory: &Path, limit: u64) -> Ring {
    Ring::open(RingSettings { directory: Some(directory.to_owned()), limit })
}

fn key(name: &str) -> Arc<EdgeKey> {
    let source = Party { namespace: "shop".into(), workload: name.into(), ..Party::default() };
    Arc::new(EdgeKey { source: Some(source), port: 80, ..EdgeKey::default() })
}

fn batch(names: &[&str], opened: u64) -> Batch {
    let counters = Counters { opened, ..Counters::default() };
    let incident = Incident { error: format!("of {opened}"), ..Incident::default() };
    Batch {
        rows: names.iter().map(|name| (key(name), counters.clone())).collect(),
        incidents: vec![incident],
        ..Batch::default()
    }
}

/// What is read of a window: time, workload, opened.
fn read(ring: &Ring, from: i64, to: i64) -> Vec<(i64, String, u64)> {
    let mut all = Vec::new();
    ring.read(from, to, |step| {
        for part in step.parts() {
            let Part::Row(id, tally) = part else { continue };
            let source = step.keys[&id].source.clone().expect("a source");
            let mut counters = Counters::default();
            tally.add_to(&mut counters);
            all.push((step.at_ms, source.workload, counters.opened));
        }
    });
    all
}

#[test]
fn another_process_reads_what_was_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let now = crate::now_ms();
    let one = ring(directory.path(), 1 << 20);
    one.append(now, batch(&["web"], 1)).expect("kept");
    one.append(now + 10_000, batch(&["web", "orders"], 2)).expect("kept");
    drop(one);
    let two = ring(directory.path(), 1 << 20);
    two.append(now + 20_000, batch(&["web"], 3)).expect("kept");
    let all = read(&two, now, now + 30_000);
    let want = [
        (now, "web", 1),
        (now + 10_000, "web", 2),
        (now + 10_000, "orders", 2),
        (now + 20_000, "web", 3),
    ];
    assert_eq!(all, want.map(|(at, name, n)| (at, name.to_owned(), n)));
    assert_eq!(read(&two, now + 10_000, now + 20_000).len(), 2, "only the window");
    assert_eq!(two.oldest_ms(), Some(now));
}

#[test]
fn files_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let inner = directory.path().join("a/b");
    ring(&inner, 1 << 20).append(crate::now_ms(), batch(&["web"], 1)).expect("kept");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for entry in fs::read_dir(&inner).expect("a directory").flatten() {
        assert_eq!(mode(&entry.path()), 0o600);
    }
}

#[test]
fn the_oldest_goes_when_there_is_no_room() {
    let directory = tempfile::tempdir().expect("a directory");
    let limit = 2 << 20;
    let ring = ring(directory.path(), limit);
    fs::write(directory.path().join("notes.txt"), "somebody else's").expect("written");
    let now = crate::now_ms() - 3_000_000;
    let names: Vec<String> = (0..2_000).map(|n| format!("workload-{n:060}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for step in 0..300 {
        ring.append(now + step * 10_000, batch(&names, 1)).expect("kept");
        assert!(ring.size() <= limit + (limit >> 3), "{} bytes after {step} steps", ring.size());
    }
    let oldest = ring.oldest_ms().expect("something is kept");
    assert!(oldest > now, "the first went");
    let last = now + 299 * 10_000;
    assert_eq!(read(&ring, last, last + 1).len(), names.len(), "the last is there");
    assert!(directory.path().join("notes.txt").exists());
}

#[test]
fn a_damaged_file_costs_what_is_behind_the_damage() {
    let directory = tempfile::tempdir().expect("a directory");
    let now = crate::now_ms();
    let ring = ring(directory.path(), 1 << 20);
    for step in 0..3 {
        ring.append(now + step * 10_000, batch(&["web"], 1)).expect("kept");
    }
    let path = ring.files().pop().expect("a file").path;
    let whole = fs::read(&path).expect("bytes");
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).expect("written");
        assert!(read(&ring, now, now + 30_000).len() <= 3, "a part of {cut} bytes");
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&path, &bytes).expect("written");
        assert!(read(&ring, now, now + 30_000).len() <= 3, "byte {at} is another");
    }
    let mut file = OpenOptions::new().append(true).open(&path).expect("open");
    fs::write(&path, &whole).expect("written");
    file.write_all(&u32::MAX.to_le_bytes()).expect("written");
    file.write_all(&[0; 64]).expect("written");
    assert_eq!(read(&ring, now, now + 30_000).len(), 3, "a length that cannot be");
}

#[test]
fn without_a_place_nothing_is_kept_and_nothing_fails() {
    let ring = Ring::open(RingSettings { directory: None, limit: 0 });
    ring.append(crate::now_ms(), batch(&["web"], 1)).expect("forgotten");
    assert_eq!(read(&ring, 0, i64::MAX), []);
    let nowhere = Path::new("/proc/nobody/here");
    let ring = self::ring(nowhere, 1 << 20);
    assert!(ring.append(crate::now_ms(), batch(&["web"], 1)).is_err());
    assert_eq!(read(&ring, 0, i64::MAX), []);
}
