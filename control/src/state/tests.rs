use super::*;

#[test]
fn a_file_is_replaced_whole_and_private() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let state = StateDir::open(&folder.path().join("state")).expect("opens");
    state.write("key", b"one", 0o600).expect("writes");
    state.write("key", b"two", 0o600).expect("replaces");
    assert_eq!(state.read("key").expect("reads").as_deref(), Some(&b"two"[..]));
    let mode = fs::metadata(state.path("key")).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names = fs::read_dir(state.path("")).expect("lists").count();
    assert_eq!(names, 1, "no temporary file is left");
}

#[test]
fn create_never_replaces() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let state = StateDir::open(folder.path()).expect("opens");
    state.create("root", b"first", 0o600).expect("creates");
    assert!(state.create("root", b"second", 0o600).is_err());
    assert_eq!(state.read("root").expect("reads").as_deref(), Some(&b"first"[..]));
}

#[test]
fn hexadecimal_is_as_everywhere() {
    assert_eq!(digest::encode(&[0, 0x1f, 0xa0, 0xff]), "001fa0ff");
    assert_eq!(
        digest::hex(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
