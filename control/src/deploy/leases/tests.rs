use super::*;

fn place(node: &str, ip: &str) -> BTreeMap<String, Vec<IpAddr>> {
    BTreeMap::from([(node.to_owned(), vec![ip.parse().expect("an address")])])
}

#[test]
fn places_outlive_a_restart_and_those_given_back_do_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || StateDir::open(directory.path()).expect("opened");
    let (one, two) = (Key::new("shop", "one"), Key::new("shop", "two"));
    let mut leases = Leases::load(open());
    leases.set(&one, place("a", "10.0.0.1"));
    leases.set(&two, place("b", "10.0.0.2"));
    leases.keep();
    let mut again = Leases::load(open());
    assert_eq!(again.of(&one), place("a", "10.0.0.1"));
    assert_eq!(again.taken(&one), BTreeSet::from(["10.0.0.2".parse().expect("an address")]));
    again.set(&two, BTreeMap::new());
    again.keep();
    assert!(Leases::load(open()).of(&two).is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_forgotten_and_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || StateDir::open(directory.path()).expect("opened");
    std::fs::write(directory.path().join(FILE), "half of {").expect("written");
    let mut leases = Leases::load(open());
    let gateway = Key::new("shop", "one");
    assert!(leases.of(&gateway).is_empty());
    leases.set(&gateway, place("a", "10.0.0.1"));
    leases.keep();
    assert_eq!(Leases::load(open()).of(&gateway), place("a", "10.0.0.1"));
}
