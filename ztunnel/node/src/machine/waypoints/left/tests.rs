use super::*;

#[tokio::test]
async fn what_nobody_wants_is_ended_and_cleared_away() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let (wanted, unwanted) = (Uid::from("wanted"), Uid::from("unwanted"));
    for uid in [&wanted, &unwanted] {
        std::fs::write(record(path, uid), "{}").expect("written");
        std::fs::write(path.join(uid.as_str()), "token").expect("written");
    }
    assert_eq!(recorded(path).into_iter().collect::<BTreeSet<_>>().len(), 2);
    end(path.to_owned(), BTreeSet::from([wanted.clone()])).await;
    assert_eq!(recorded(path), [wanted]);
    assert!(path.join("wanted").exists() && !path.join("unwanted").exists());
}
