use super::*;

const PAIR: &str = "
programs:
  - name: near
    place: client
    command: [/bin/relay, --to, '{server-node}:{port}']
    files: {near.conf: 'listen {client}'}
  - name: far
    place: server-node
    command: [/bin/relay, '{dir}/far']
dial: 127.0.0.1:10001
";

fn words() -> Words {
    let ip = |last| Ipv4Addr::new(10, 0, 0, last);
    Words {
        directory: "/run/other".into(),
        addresses: [
            ("client", ip(1)),
            ("server", ip(2)),
            ("client-node", ip(3)),
            ("server-node", ip(4)),
        ],
        port: 8080,
    }
}

#[test]
fn a_pair_of_programs_is_read() {
    let Other::Template(pair) = Other::parse(PAIR).expect("it is right") else {
        panic!("a template");
    };
    let places: Vec<Side> = pair.programs.iter().map(|program| program.place).collect();
    assert_eq!(places, [Side::Client, Side::ServerNode]);
    assert_eq!(pair.dial.as_deref(), Some("127.0.0.1:10001"));
}

#[test]
fn what_stands_in_for_ztunnel_is_read() {
    let other = Other::parse("ztunnel: /opt/ztunnel\nenv: {RUST_LOG: warn}").expect("it is right");
    let Other::Ztunnel(ztunnel) = other else { panic!("a ztunnel") };
    assert_eq!(ztunnel.path, Path::new("/opt/ztunnel"));
    assert_eq!(ztunnel.env.get("RUST_LOG").map(String::as_str), Some("warn"));
}

#[test]
fn what_is_neither_is_refused() {
    for (case, text) in [
        ("nothing", "{}"),
        ("a misspelt field", "ztunnel: /opt/ztunnel\nargz: []"),
        ("no command", "programs: [{name: a, place: client, command: []}]"),
        ("an unknown place", "programs: [{name: a, place: moon, command: [a]}]"),
    ] {
        assert!(Other::parse(text).is_err(), "{case}");
    }
}

#[test]
fn words_in_braces_are_filled_in() {
    let text = "{client} {server} {client-node} {server-node} {port} {dir}/a {other}";
    let want = "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 8080 /run/other/a {other}";
    assert_eq!(words().fill(text), want);
}

#[test]
fn the_template_that_comes_along_is_read() {
    let text = include_str!("../../../templates/envoy.yaml");
    let Other::Template(pair) = Other::parse(text).expect("it is right") else {
        panic!("a template");
    };
    assert_eq!(pair.programs.len(), 2);
    for program in &pair.programs {
        let left = |text: &str| words().fill(text).contains("{dir}");
        assert!(!program.files.is_empty() && !program.files.values().any(|file| left(file)));
    }
}
