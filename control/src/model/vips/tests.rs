use super::*;
use crate::model::entry::Resolution;
use crate::model::object::Meta;

const ALLOCATE: &str = "networking.istio.io/enable-autoallocate-ip";

fn entry(name: &str, hosts: &[&str]) -> ServiceEntry {
    ServiceEntry {
        meta: Meta { key: Key::new("shop", name), ..Meta::default() },
        hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
        resolution: Resolution::Static,
        ..ServiceEntry::default()
    }
}

fn give(vips: &mut Vips, entry: &ServiceEntry) -> Vec<String> {
    let (given, without) = vips.allot(entry, |_| false);
    vips.set(&entry.meta.key, given);
    without
}

#[test]
fn a_host_has_one_address_of_each_family_and_keeps_it() {
    let mut vips = Vips::default();
    let entry = entry("a", &["a.example", "b.example"]);
    assert!(give(&mut vips, &entry).is_empty());
    let first = vips.of(&entry.meta.key, "a.example");
    let [IpAddr::V4(v4), IpAddr::V6(v6)] = first[..] else { panic!("{first:?}") };
    assert_eq!(v4.octets()[..2], [240, 240]);
    assert_eq!(v6.segments()[..3], [0x2001, 2, 0]);
    assert!(first.iter().all(is_ours));
    assert_ne!(first, vips.of(&entry.meta.key, "b.example"));
    assert!(give(&mut vips, &entry).is_empty());
    assert_eq!(vips.of(&entry.meta.key, "a.example"), first, "it keeps them");
    let mut other = Vips::default();
    give(&mut other, &entry);
    assert_eq!(other.of(&entry.meta.key, "a.example"), first, "whoever gives them");
}

#[test]
fn only_hosts_that_nobody_wrote_an_address_for_get_one() {
    let wants = |change: fn(&mut ServiceEntry)| {
        let mut entry = entry("a", &["a.example"]);
        change(&mut entry);
        !entry.wants_addresses().is_empty()
    };
    let opt_out = |entry: &mut ServiceEntry, value: &str| {
        entry.meta.labels.insert(ALLOCATE.to_owned(), value.to_owned());
    };
    for (case, got, want) in [
        ("STATIC", wants(|_| {}), true),
        ("NONE", wants(|e| e.resolution = Resolution::None), false),
        ("written", wants(|e| e.addresses = vec!["192.0.2.1/32".parse().expect("one")]), false),
        ("unseen", wants(|e| e.visibility = crate::model::entry::Visibility::Nobody), false),
    ] {
        assert_eq!(got, want, "{case}");
    }
    for (value, want) in [("false", false), ("true", true), ("perhaps", true)] {
        let mut entry = entry("a", &["a.example"]);
        opt_out(&mut entry, value);
        assert_eq!(!entry.wants_addresses().is_empty(), want, "{value}");
    }
}

#[test]
fn no_address_is_given_twice_and_none_that_somebody_wrote() {
    let mut vips = Vips::default();
    let hosts: Vec<String> = (0..2000).map(|n| format!("h{n}.example")).collect();
    let texts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let many = entry("many", &texts);
    assert!(give(&mut vips, &many).is_empty());
    assert_eq!(vips.len(), 2 * 2000);

    let late = entry("z", &["late.example"]);
    let (given, _) = vips.allot(&late, |_| false);
    let wished = given["late.example"][0];
    vips.write(wished, true);
    give(&mut vips, &late);
    assert!(!vips.of(&late.meta.key, "late.example").contains(&wished));
    assert!(!vips.of(&late.meta.key, "late.example").is_empty());
    vips.write(wished, false);
    let (given, _) = vips.allot(&late, |ip| *ip == wished);
    assert_ne!(given["late.example"][0], wished, "what is reserved is not free");
}

#[test]
fn of_two_claims_one_counts_and_the_other_gets_something_else() {
    let mut vips = Vips::default();
    let (a, b) = (entry("a", &["a.example"]), entry("b", &["b.example"]));
    give(&mut vips, &a);
    let same = vips.of(&a.meta.key, "a.example");
    vips.set(&b.meta.key, Given::from([("b.example".to_owned(), same.clone())]));
    assert_eq!(vips.of(&a.meta.key, "a.example"), same);
    assert!(vips.of(&b.meta.key, "b.example").is_empty());
    assert_eq!(vips.claimants(same.clone()).count(), 4, "both, of both families");
    give(&mut vips, &b);
    assert!(!vips.of(&b.meta.key, "b.example").is_empty());
    vips.set(&a.meta.key, Given::new());
    assert!(!vips.claimants(same).any(|(key, _)| *key == a.meta.key), "it is free again");
}

#[test]
fn what_is_full_says_for_which_host_nothing_is_left() {
    let vips = Vips::default();
    let entry = entry("a", &["a.example"]);
    let (given, without) = vips.allot(&entry, |_| true);
    assert!(given.is_empty());
    assert_eq!(without, ["a.example"]);
    let numbers: BTreeSet<IpAddr> = (1..=MAX_GIVEN_ADDRESSES).flat_map(pair).collect();
    assert_eq!(numbers.len() as u64, 2 * MAX_GIVEN_ADDRESSES, "each number is an address");
    assert!(numbers.iter().all(is_ours));
}
