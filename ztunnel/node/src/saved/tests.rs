use super::*;

fn pod(uid: &str) -> Pod {
    let wire = hbone::wire::pb::ambit::node::v1::Pod {
        uid: uid.to_owned(),
        namespace: "shop".to_owned(),
        name: format!("pod-{uid}"),
        ips: vec!["10.1.0.5".to_owned()],
        ..Default::default()
    };
    Pod::try_from(wire).expect("a pod")
}

fn saved(uid: &str, stage: Stage) -> SavedPod {
    let path = PathBuf::from(format!("/run/netns/{uid}"));
    SavedPod { pod: pod(uid), stage, path, dev: 4, inode: 5, older: BTreeSet::new() }
}

#[tokio::test]
async fn what_was_noted_is_there_after_a_restart_and_what_was_forgotten_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let memory = Saved::load(directory.path()).expect("nothing is no error");
    assert!(memory.all().is_empty());
    memory.put(saved("a", Stage::Entering)).await.expect("written");
    memory.put(saved("b", Stage::Known)).await.expect("written");
    memory.put(saved("a", Stage::Enrolled)).await.expect("written");
    memory.remove(&"b".into()).await.expect("written");
    let again = Saved::load(directory.path()).expect("read");
    assert_eq!(again.all(), [saved("a", Stage::Enrolled)]);
    assert_eq!(again.all()[0].id(), NetnsId { dev: 4, inode: 5 });
}

#[tokio::test]
async fn notes_at_once_lose_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let memory = Saved::load(directory.path()).expect("nothing is no error");
    let notes = (0..32).map(|n| {
        let memory = memory.clone();
        tokio::spawn(async move { memory.put(saved(&format!("u{n}"), Stage::Known)).await })
    });
    for note in notes.collect::<Vec<_>>() {
        note.await.expect("no panic").expect("written");
    }
    assert_eq!(Saved::load(directory.path()).expect("read").all().len(), 32);
    let left: Vec<_> = std::fs::read_dir(directory.path()).expect("read").flatten().collect();
    assert_eq!(left.len(), 1, "no temporary file stays");
}

#[test]
fn a_file_that_is_no_list_is_said_so_and_never_taken_for_an_empty_one() {
    let directory = tempfile::tempdir().expect("a directory");
    for text in ["", "{", "[{\"pod\": 1}]"] {
        std::fs::write(directory.path().join(FILE), text).expect("written");
        let error = Saved::load(directory.path()).expect_err("unreadable");
        assert!(error.to_string().contains("remove it to start without it"), "{text:?}: {error}");
    }
}

#[tokio::test]
async fn a_note_that_cannot_be_written_says_where() {
    let directory = tempfile::tempdir().expect("a directory");
    let memory = Saved::load(&directory.path().join("missing")).expect("nothing is no error");
    let error = memory.put(saved("a", Stage::Known)).await.expect_err("no directory");
    assert!(error.to_string().contains("pods.json"), "{error}");
}
