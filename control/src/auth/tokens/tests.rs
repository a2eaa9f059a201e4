use super::*;

fn state() -> (tempfile::TempDir, StateDir) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let state = StateDir::open(folder.path()).expect("opens");
    (folder, state)
}

#[test]
fn a_token_is_redeemed_by_exactly_one() {
    let (_folder, state) = state();
    let now = SystemTime::now();
    let token = create_at(&state, "node-a", LIFE, now).expect("made");
    let won: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| redeem(&state, &token, "node-a", now).is_ok()))
            .collect();
        tries.into_iter().filter_map(|t| t.join().ok()).filter(|won| *won).count()
    });
    assert_eq!(won, 1);
}

#[test]
fn what_a_token_is_not_good_for() {
    let (folder, state) = state();
    let now = SystemTime::now();
    let token = create_at(&state, "node-a", LIFE, now).expect("made");
    let (id, _) = token.split_once('.').expect("two parts");
    let outside = folder.path().join("../x");
    let guess = format!("{id}.{}", "0".repeat(64));
    for (case, token, node, at, want) in [
        ("other node", token.as_str(), "node-b", now, RedeemError::OtherNode("node-a".to_owned())),
        ("too late", &token, "node-a", now + LIFE, RedeemError::Expired),
        ("wrong secret", &guess, "node-a", now, RedeemError::Secret),
        ("no token", "", "node-a", now, RedeemError::Form),
        ("a path", outside.to_str().expect("text"), "node-a", now, RedeemError::Form),
        ("a path as id", "../../etc/pass.", "node-a", now, RedeemError::Form),
    ] {
        assert_eq!(redeem(&state, token, node, at), Err(want), "{case}");
    }
    assert_eq!(redeem(&state, &token, "node-a", now), Ok(()), "none of it used it up");
}

#[test]
fn so_many_tokens_wait_and_no_more() {
    let (folder, state) = state();
    let (now, waiting) = (SystemTime::now(), folder.path().join(FOLDER));
    create_at(&state, "node-a", LIFE, now).expect("made");
    let one = std::fs::read_dir(&waiting).expect("a folder").flatten().next().expect("a token");
    for number in 1..limits::MAX_JOIN_TOKENS {
        let copy = waiting.join(format!("{number:016x}.json"));
        std::fs::hard_link(one.path(), copy).expect("linked");
    }
    assert!(matches!(create_at(&state, "node-b", LIFE, now), Err(CreateError::TooMany)));
    // What has expired makes room.
    create_at(&state, "node-b", LIFE, now + LIFE).expect("made");
}

#[test]
fn the_secret_is_not_on_disk() {
    let (folder, state) = state();
    let token = create_at(&state, "node-a", LIFE, SystemTime::now()).expect("made");
    let (id, secret) = token.split_once('.').expect("two parts");
    let file = std::fs::read_to_string(folder.path().join(format!("{FOLDER}/{id}.json")));
    assert!(!file.expect("reads").contains(secret));
    assert!(create_at(&state, "../x", LIFE, SystemTime::now()).is_err());
}
