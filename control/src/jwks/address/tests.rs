use super::*;

#[test]
fn nothing_is_fetched_from_this_machine_its_links_or_its_metadata() {
    for (address, want) in [
        ("127.0.0.1", Some("this machine")),
        ("127.8.8.8", Some("this machine")),
        ("::1", Some("this machine")),
        ("::ffff:127.0.0.1", Some("this machine")),
        ("::127.0.0.1", Some("this machine")),
        ("169.254.169.254", Some("link-local")),
        ("169.254.0.1", Some("link-local")),
        ("::ffff:169.254.169.254", Some("link-local")),
        ("64:ff9b::a9fe:a9fe", Some("link-local")),
        ("2002:a9fe:a9fe::1", Some("link-local")),
        ("2002:7f00:1::", Some("this machine")),
        ("fe80::1", Some("link-local")),
        ("febf::1", Some("link-local")),
        ("0.0.0.0", Some("unspecified")),
        ("0.1.2.3", Some("unspecified")),
        ("::", Some("unspecified")),
        ("224.0.0.1", Some("multicast")),
        ("ff02::1", Some("multicast")),
        ("255.255.255.255", Some("broadcast")),
        ("fd00:ec2::254", Some("metadata")),
        ("100.100.100.200", Some("metadata")),
        ("168.63.129.16", Some("metadata")),
        ("192.0.0.192", Some("metadata")),
        // Providers of the user's own are inside.
        ("10.1.2.3", None),
        ("192.168.0.1", None),
        ("172.16.0.1", None),
        ("100.64.0.1", None),
        ("fd00::1", None),
        ("93.184.215.14", None),
        ("2606:2800:21f:cb07::1", None),
        ("64:ff9b::808:808", None),
        ("2002:808:808::1", None),
    ] {
        let found = refused(address.parse().expect(address));
        assert_eq!(found.is_some(), want.is_some(), "{address}: {found:?}");
        assert!(
            found.unwrap_or_default().contains(want.unwrap_or_default()),
            "{address}: {found:?}"
        );
    }
}
