use super::*;
use crate::jwks::fetch::tests::key_set;

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart_and_nonsense_is_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::new(StateDir::open(folder.path()).expect("a state directory"));
    assert!(kept.load().is_empty());
    let set = Arc::new(KeySet::read(key_set("one").as_bytes()).expect("a key set").set);
    let url = "https://issuer.example/keys";
    kept.store(BTreeMap::from([(url.to_owned(), set.clone())])).await;
    let again = kept.load();
    assert_eq!(
        again.into_iter().collect::<Vec<_>>(),
        [(KeySetUrl::new(url).expect("an URL"), set)]
    );
    for nonsense in ["", "{", "[1]", "{\"https://issuer.example/\": {\"keys\": 1}}"] {
        std::fs::write(folder.path().join(FILE), nonsense).expect("written");
        assert!(kept.load().is_empty(), "{nonsense}");
    }
}
