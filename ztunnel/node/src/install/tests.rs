use std::fs;

use super::*;

const NETWORK: &str =
    r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge","bridge":"cni0"}]}"#;

fn node() -> (tempfile::TempDir, Places) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    for name in ["bin", "conf"] {
        fs::create_dir(path.join(name)).expect("made");
    }
    fs::write(path.join("plugin"), "program").expect("written");
    let places = Places {
        program: path.join("plugin"),
        programs: path.join("bin"),
        configs: path.join("conf"),
        file: "00-ambit.conflist".to_owned(),
        entry: chain::Entry { run_dir: "/run/a".into(), exclude_namespaces: Vec::new() },
    };
    (folder, places)
}

fn installed(places: &Places) -> String {
    fs::read_to_string(places.config()).expect("our file")
}

#[test]
fn what_is_removed_or_overwritten_is_put_back_and_the_original_followed() {
    let (_folder, places) = node();
    assert!(matches!(places.ensure(), Err(InstallError::NoNetwork(_))));
    let original = places.configs.join("10-pods.conflist");
    fs::write(&original, NETWORK).expect("written");
    assert!(places.ensure().expect("installed"));
    assert!(!places.ensure().expect("there"), "nothing is missing");
    assert_eq!(fs::read_to_string(&original).expect("read"), NETWORK, "not ours to edit");
    let program = places.programs.join(plugin::NAME);
    assert_eq!(fs::metadata(&program).expect("there").permissions().mode() & 0o777, 0o755);

    let good = installed(&places);
    for (case, harm) in [
        ("removed", (|p: &Places| fs::remove_file(p.config())) as fn(&Places) -> io::Result<()>),
        ("overwritten", |p| fs::write(p.config(), "{}")),
        ("program removed", |p| fs::remove_file(p.programs.join(plugin::NAME))),
        ("program replaced", |p| fs::write(p.programs.join(plugin::NAME), "other")),
    ] {
        harm(&places).expect(case);
        assert!(places.ensure().expect(case), "{case}");
        assert_eq!(installed(&places), good, "{case}");
        assert_eq!(fs::read_to_string(&program).expect("there"), "program", "{case}");
    }

    fs::write(&original, NETWORK.replace("cni0", "cni1")).expect("written");
    assert!(places.ensure().expect("followed"));
    assert!(installed(&places).contains("cni1"));
    // An original that makes no sense for a while leaves the last good chain.
    fs::write(&original, "{").expect("written");
    assert!(matches!(places.ensure(), Err(InstallError::Chain { .. })));
    assert!(installed(&places).contains("cni1"));
}

#[test]
fn a_file_that_a_runtime_would_take_first_is_told() {
    let (_folder, places) = node();
    fs::write(places.configs.join("00-a.conflist"), NETWORK).expect("written");
    let error = places.ensure().expect_err("not first").to_string();
    assert!(error.contains("00-a.conflist"), "{error}");
}

#[test]
fn nothing_of_ours_stays_when_it_is_removed() {
    let (_folder, places) = node();
    fs::write(places.configs.join("10-pods.conf"), NETWORK).expect("written");
    places.ensure().expect("installed");
    places.remove().expect("removed");
    places.remove().expect("twice");
    assert_eq!(fs::read_dir(&places.configs).expect("read").count(), 1);
    assert_eq!(fs::read_dir(&places.programs).expect("read").count(), 0);
}

#[test]
fn a_network_file_without_end_is_not_followed_and_the_last_good_copy_stays() {
    let (_folder, places) = node();
    let original = places.configs.join("10-pods.conflist");
    fs::write(&original, NETWORK).expect("written");
    assert!(places.ensure().expect("installed"));
    let good = installed(&places);
    let after_blanks = |blanks: u64| {
        " ".repeat(usize::try_from(blanks).expect("small")) + &NETWORK.replace("cni0", "cni1")
    };
    fs::write(&original, after_blanks(MAX_CONFIG)).expect("written");
    assert!(matches!(places.ensure(), Err(InstallError::Chain { .. })));
    assert_eq!(installed(&places), good);
    fs::write(&original, after_blanks(MAX_CONFIG / 2)).expect("written");
    assert!(places.ensure().expect("followed"));
    assert!(installed(&places).contains("cni1"));
}
