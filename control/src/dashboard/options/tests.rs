use super::*;

fn good() -> Options {
    Options {
        dashboard_listen: Some(([0, 0, 0, 0], 15018).into()),
        dashboard_certificate: Some("tls.crt".into()),
        dashboard_key: Some("tls.key".into()),
        dashboard_client_ca: Some("ca.crt".into()),
        ..Options::default()
    }
}

#[test]
fn nothing_is_served_beyond_this_machine_unless_somebody_asks() {
    assert_eq!(Options::default().plan(false), Ok(None));
    assert_eq!(Options::default().plan(true), Ok(None));
    let plan = good().plan(false).expect("good").expect("asked for");
    assert_eq!(plan.client_ca, Some("ca.crt".into()));
    assert_eq!(plan.audiences, None, "tokens are another matter");
}

#[test]
fn what_would_let_in_too_many_or_do_nothing_is_refused_with_what_would_be_right() {
    type Change = fn(&mut Options);
    let cases: [(Change, &str); 9] = [
        (|o| o.dashboard_certificate = None, "needs --dashboard-certificate; beyond this machine"),
        (|o| o.dashboard_key = None, "needs --dashboard-key; beyond this machine"),
        (|o| o.dashboard_client_ca = None, "needs --dashboard-client-ca or --dashboard-tokens"),
        (|o| o.dashboard_tokens = true, "--dashboard-tokens needs --kubernetes"),
        (|o| o.dashboard_service = "s".to_owned(), "--dashboard-service needs --kubernetes"),
        (|o| o.dashboard_listen = None, "does nothing without --dashboard-listen"),
        (
            |o| *o = Options { dashboard_tokens: true, ..Options::default() },
            "--dashboard-tokens does nothing without --dashboard-listen",
        ),
        (
            |o| *o = Options { dashboard_key: Some("k".into()), ..Options::default() },
            "--dashboard-key does nothing",
        ),
        (
            |o| *o = Options { dashboard_audiences: vec!["a".into()], ..Options::default() },
            "--dashboard-audience does nothing",
        ),
    ];
    for (change, said) in cases {
        let mut options = good();
        change(&mut options);
        let refused = options.plan(false).expect_err(said).to_string();
        assert!(refused.contains(said), "{refused}");
    }
    for audiences in [vec![], vec![String::new()], vec![AUDIENCE.to_owned(), " ".to_owned()]] {
        let options = Options { dashboard_tokens: true, dashboard_audiences: audiences, ..good() };
        assert_eq!(options.plan(true), Err(OptionsError::NoAudience));
    }
}
