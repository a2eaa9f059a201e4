use super::*;

#[test]
fn a_run_directory_is_one_supervisor_s() {
    let directory = tempfile::tempdir().expect("a directory");
    let run_dir = directory.path().join("run");
    let first = Lock::take(&run_dir).expect("free");
    let second = Lock::take(&run_dir).expect_err("taken");
    assert!(second.to_string().contains("AMBIT_RUN_DIR"), "{second}");
    drop(first);
    Lock::take(&run_dir).expect("free again");
}
