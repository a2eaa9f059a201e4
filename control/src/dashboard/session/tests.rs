use prometheus_client::registry::Registry;

use super::*;

fn sessions() -> Sessions {
    Sessions::new(Arc::new(Audit::register(&mut Registry::default())))
}

/// What a browser sends that was told this.
fn sent(cookie: &HeaderValue) -> HeaderMap {
    let text = cookie.to_str().expect("text");
    let pair = text.split(';').next().expect("a pair");
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::try_from(pair).expect("a value"))])
}

#[test]
fn a_session_stands_for_its_token_until_it_ends() {
    let (sessions, now) = (sessions(), Instant::now());
    assert_eq!(sessions.token(&HeaderMap::new(), now), Ok(None));
    let cookie = sessions.begin("secret", "alice", now).expect("begins");
    let text = cookie.to_str().expect("text");
    let rest = "; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=3600";
    assert!(text.starts_with("__Host-ambit-session=") && text.ends_with(rest), "{text}");
    assert!(!text.contains("secret"));
    let headers = sent(&cookie);
    assert_eq!(sessions.token(&headers, now), Ok(Some("secret".into())));
    let late = now + limits::DASHBOARD_SESSION_LIFE;
    assert_eq!(sessions.token(&headers, late), Err(Refusal::Ended));

    let (whose, gone) = sessions.end(&headers);
    assert_eq!(whose.as_deref(), Some("alice"));
    assert!(gone.to_str().expect("text").ends_with("Max-Age=0"));
    assert_eq!(sessions.token(&headers, now), Err(Refusal::Ended));
    assert_eq!(sessions.end(&headers).0, None);
}

#[test]
fn what_nobody_was_given_is_no_session() {
    let (sessions, now) = (sessions(), Instant::now());
    let cookie = sessions.begin("secret", "alice", now).expect("begins");
    let own = sent(&cookie)[header::COOKIE].to_str().expect("text").to_owned();
    for (cookie, want) in [
        ("__Host-ambit-session=", Err(Refusal::Ended)),
        ("__Host-ambit-session=AAAAAAAA", Err(Refusal::Ended)),
        ("ambit-session=AAAAAAAA; other=1", Ok(None)),
        (&format!("{own}; {own}"), Ok(None)),
        (&format!("a=b; {own}"), Ok(Some("secret".into()))),
    ] {
        let value = HeaderValue::try_from(cookie).expect("a value");
        let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
        assert_eq!(sessions.token(&headers, now), want, "{cookie}");
    }
}

#[test]
fn so_many_are_signed_in_and_one_user_takes_no_others_place() {
    let (sessions, now) = (sessions(), Instant::now());
    let of_one = limits::MAX_DASHBOARD_SESSIONS_OF_ONE;
    let at = |n: usize| now + Duration::from_millis(n as u64);
    let begun: Vec<_> =
        (0..=of_one).map(|n| sessions.begin("t", "alice", at(n)).expect("begins")).collect();
    let lives = |n: usize| sessions.token(&sent(&begun[n]), at(of_one)).is_ok();
    assert!(!lives(0), "the oldest gives way");
    assert!((1..=of_one).all(lives));

    for n in of_one..limits::MAX_DASHBOARD_SESSIONS {
        sessions.begin("t", &format!("user-{n}"), now).expect("begins");
    }
    assert_eq!(sessions.begin("t", "one-more", now), Err(Refusal::Full));
    let later = now + limits::DASHBOARD_SESSION_LIFE + Duration::from_secs(1);
    assert!(sessions.begin("t", "one-more", later).is_ok(), "those of before have ended");
}
