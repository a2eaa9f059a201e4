use super::*;

#[test]
fn the_command_line_and_the_library_have_the_same_defaults() {
    let cli = Cli::try_parse_from(["control", "--directory", "/d", "--state", "/s"]);
    let from_cli = cli.expect("parses").config;
    let from_library = Config::new("/d".into(), "/s".into());
    assert_eq!(format!("{from_cli:?}"), format!("{from_library:?}"));
}

#[test]
fn a_duration_has_a_unit() {
    for (text, want) in [
        ("90s", Some(90)),
        ("30m", Some(1800)),
        ("24h", Some(86_400)),
        ("7d", Some(604_800)),
        ("", None),
        ("5", None),
        ("0s", None),
        ("-1h", None),
        ("1hh", None),
        ("99999999999999999999d", None),
        ("18446744073709551615d", None),
        ("1é", None),
    ] {
        assert_eq!(duration(text).ok().map(|d| d.as_secs()), want, "{text}");
    }
}

#[test]
fn what_would_never_work_is_refused_at_the_start() {
    let good = Config::new("/d".into(), "/s".into());
    assert_eq!(good.check(), Ok(()));
    let lives = Config { certificate_life: Duration::from_hours(25), ..good.clone() };
    assert_eq!(lives.check(), Err(ConfigError::Lives));
    let of = |url: &str| Config { prometheus_url: Some(url.to_owned()), ..good.clone() };
    assert!(of("").prometheus().is_ok_and(|found| found.is_none()), "an empty variable");
    assert!(of("http://prometheus:9090").prometheus().is_ok_and(|found| found.is_some()));
    let error = of("prometheus:9090").check().expect_err("no URL").to_string();
    assert!(error.starts_with("--prometheus-url \"prometheus:9090\" is neither"), "{error}");
    let name = Config { system_namespace: "Istio System".to_owned(), ..good };
    assert!(matches!(name.check(), Err(ConfigError::Name { .. })));
}
