use super::*;
use crate::model::object::Meta;

fn node(name: &str, addresses: &str) -> Node {
    let mut meta = Meta { key: Key::new("", name), ..Meta::default() };
    meta.annotations.insert(brand::WAYPOINT_ADDRESSES.to_owned(), addresses.to_owned());
    Node { meta }
}

fn gateway() -> Key {
    Key::new("shop", "waypoint")
}

#[test]
fn an_annotation_gives_blocks_or_names_the_part_that_is_none() {
    for (text, want) in [
        ("", Ok(0)),
        ("10.1.0.240/28", Ok(1)),
        (" 10.1.0.240/28 , fd00:1::f0/124,", Ok(2)),
        ("10.1.0.240", Err("10.1.0.240")),
        ("10.1.0.240/28,many", Err("many")),
    ] {
        let found = blocks(&node("a", text)).map(|blocks| blocks.len());
        assert_eq!(
            found.as_ref().map_err(String::as_str),
            want.as_ref().map_err(|e| *e),
            "{text:?}"
        );
    }
}

#[test]
fn an_instance_gets_a_free_address_of_each_family() {
    let node = node("a", "10.1.0.240/30,fd00:1::f0/126");
    let mut taken = BTreeSet::new();
    let mut given = Vec::new();
    loop {
        let ips = addresses(&node, &gateway(), &taken);
        if ips.is_empty() {
            break;
        }
        assert!(ips.iter().all(|ip| !taken.contains(ip)), "given twice: {ips:?}");
        taken.extend(ips.iter().copied());
        given.push(ips);
    }
    // Two hosts in IPv4, three in IPv6: the network's own address is nobody's.
    let count = |v4| taken.iter().filter(|ip: &&IpAddr| ip.is_ipv4() == v4).count();
    assert_eq!((count(true), count(false)), (2, 3), "{given:?}");
    for never in ["10.1.0.240", "10.1.0.243", "fd00:1::f0"] {
        assert!(!taken.contains(&never.parse::<IpAddr>().expect("an address")), "{never}");
    }
}

#[test]
fn a_full_block_leads_to_the_next_and_a_huge_one_costs_no_more() {
    let node = node("a", "10.1.0.1/32,10.2.0.0/16,fd00::/64");
    let taken = BTreeSet::from(["10.1.0.1".parse().expect("an address")]);
    let ips = addresses(&node, &gateway(), &taken);
    assert!(matches!(ips.as_slice(), [IpAddr::V4(_), IpAddr::V6(_)]), "{ips:?}");
    assert!(ips[0].to_string().starts_with("10.2."), "{ips:?}");
}

#[test]
fn instances_are_spread_and_stay_where_they_are() {
    let names: Vec<String> = (0..6).map(|n| format!("node-{n}")).collect();
    let nodes: Vec<Node> = names.iter().map(|name| node(name, "10.0.0.0/24")).collect();
    let pick = |nodes: &[Node], gateway: &Key, kept: &BTreeSet<String>| -> BTreeSet<String> {
        choose(nodes.iter(), gateway, kept, 2).iter().map(|n| n.meta.key.name.clone()).collect()
    };
    let first = pick(&nodes[..4], &gateway(), &BTreeSet::new());
    assert_eq!(first.len(), 2);
    assert_eq!(pick(&nodes, &gateway(), &first), first, "new nodes move nothing");
    let lost: Vec<Node> =
        nodes.iter().filter(|n| Some(&n.meta.key.name) != first.first()).cloned().collect();
    let after = pick(&lost, &gateway(), &first);
    assert_eq!(after.intersection(&first).count(), 1, "the other one stays");
    assert_eq!(pick(&nodes[..1], &gateway(), &BTreeSet::new()).len(), 1, "one node, one instance");
    let used: BTreeSet<String> = (0..20)
        .flat_map(|n| pick(&nodes, &Key::new("shop", &format!("w{n}")), &BTreeSet::new()))
        .collect();
    assert_eq!(used.len(), nodes.len(), "many waypoints use all nodes");
}
