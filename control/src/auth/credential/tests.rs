use super::*;

fn issuer(folder: &std::path::Path) -> Issuer {
    let state = StateDir::open(folder).expect("opens");
    let account = Key::new("istio-system", "ztunnel");
    Issuer::open(&state, account, Duration::from_hours(1)).expect("opens")
}

#[test]
fn a_credential_is_good_for_its_life_and_a_minute_of_skew() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let now = SystemTime::now();
    let token = issuer(folder.path()).node("node-a", now).expect("made").token;
    let again = issuer(folder.path());
    let seconds = Duration::from_secs;
    for (case, at, good) in [
        ("now", now, true),
        ("near its end", now + seconds(3599), true),
        ("a little late", now + seconds(3655), true),
        ("late", now + seconds(3662), false),
        ("a clock that is behind", now - seconds(55), true),
        ("a clock far behind", now - seconds(65), false),
    ] {
        assert_eq!(again.verify(&token, at).is_ok(), good, "{case}");
    }
    let claims = again.verify(&token, now).expect("good");
    assert_eq!(claims.account(), ("istio-system", "ztunnel"));
    assert_eq!((claims.node.as_str(), claims.subject), ("node-a", Subject::Node));
}

#[test]
fn only_our_own_signature_counts() {
    let (one, other) = (tempfile::tempdir(), tempfile::tempdir());
    let (one, other) = (one.expect("folder"), other.expect("folder"));
    let now = SystemTime::now();
    let token = issuer(one.path()).node("node-a", now).expect("made").token;
    assert!(issuer(other.path()).verify(&token, now).is_err(), "another key");
    let ours = issuer(one.path());
    let parts: Vec<&str> = token.split('.').collect();
    // {"alg":"none","typ":"JWT"} and {"alg":"HS256","typ":"JWT"}
    for header in ["eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"] {
        assert!(ours.verify(&format!("{header}.{}.", parts[1]), now).is_err());
        assert!(ours.verify(&format!("{header}.{}.{}", parts[1], parts[2]), now).is_err());
    }
    for text in ["", "a.b.c", "....", &"a".repeat(1 << 16)] {
        assert!(ours.verify(text, now).is_err());
    }
}

#[test]
fn a_corrupt_key_refuses_to_start() {
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::write(folder.path().join(KEY), "garbage").expect("writes");
    let state = StateDir::open(folder.path()).expect("opens");
    let opened = Issuer::open(&state, Key::new("a", "b"), Duration::from_secs(1));
    assert!(matches!(opened, Err(CredentialError::Key)));
}
