use hbone::wire::intern::Interner;
use hbone::wire::pb::istio::workload as wire;

use super::*;

fn service(name: &str, blocks: &[&str]) -> Arc<Service> {
    let address = |text: &&str| {
        let block: IpNet = text.parse().expect("a block");
        let address = match block.addr() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let length = Some(u32::from(block.prefix_len()));
        wire::NetworkAddress { address, length, ..Default::default() }
    };
    let message = wire::Service {
        name: name.to_owned(),
        namespace: "shop".to_owned(),
        hostname: name.to_owned(),
        addresses: blocks.iter().map(address).collect(),
        ..Default::default()
    };
    Arc::new(Service::from_wire(&message, &mut Interner::default()).expect("a service"))
}

fn names(vips: &Vips, ip: &str) -> Vec<String> {
    vips.at(ip.parse().expect("an address")).iter().map(|s| s.name.to_string()).collect()
}

#[test]
fn the_very_address_counts_before_blocks_and_the_longest_block_before_others() {
    let mut vips = Vips::default();
    let all = [
        service("wide", &["10.0.0.0/8", "fd00::/8"]),
        service("narrow", &["10.1.0.0/16"]),
        service("exact", &["10.1.2.3/32"]),
        service("b", &["10.1.2.4/32"]),
        service("a", &["10.1.2.4/32"]),
    ];
    for service in &all {
        vips.insert(service);
    }
    for (ip, want) in [
        ("10.1.2.3", vec!["exact"]),
        ("10.1.2.4", vec!["a", "b"]),
        ("10.1.2.5", vec!["narrow"]),
        ("10.2.0.1", vec!["wide"]),
        ("fd00::1", vec!["wide"]),
        ("192.0.2.1", vec![]),
    ] {
        assert_eq!(names(&vips, ip), want, "{ip}");
    }
    vips.remove(&all[1]);
    assert_eq!(names(&vips, "10.1.2.5"), ["wide"]);
    vips.remove(&all[4]);
    assert_eq!(names(&vips, "10.1.2.4"), ["b"]);
    for service in &all {
        vips.remove(service);
    }
    assert!(vips.lengths.is_empty() && vips.exact.is_empty() && vips.blocks.is_empty());
}
