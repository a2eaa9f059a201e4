use super::*;

fn by_name(namespace: &str, hostname: &str) -> wire::GatewayAddress {
    let name =
        wire::NamespacedHostname { namespace: namespace.to_owned(), hostname: hostname.to_owned() };
    let destination = Some(wire::gateway_address::Destination::Hostname(name));
    wire::GatewayAddress { destination, hbone_mtls_port: 15008 }
}

fn by_ip(bytes: &[u8]) -> wire::GatewayAddress {
    let address = wire::NetworkAddress { address: bytes.to_vec(), ..Default::default() };
    let destination = Some(wire::gateway_address::Destination::Address(address));
    wire::GatewayAddress { destination, hbone_mtls_port: 15008 }
}

fn gateway(addresses: Vec<wire::GatewayAddress>, domains: &[&str]) -> Result<Gateway, ConfigError> {
    let trust_domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
    let wire = pb::Gateway {
        namespace: "shop".to_owned(),
        name: "wp".to_owned(),
        addresses,
        trust_domains,
        ..Default::default()
    };
    Gateway::compile("Gateway/shop/wp", &wire)
}

#[test]
fn a_service_is_bound_by_any_of_the_gateway_s_addresses() {
    let gateway = gateway(
        vec![by_name("shop", "wp"), by_ip(&[10, 96, 0, 9]), by_ip(&[1, 2, 3])],
        &["cluster.local"],
    );
    let gateway = gateway.expect("readable");
    assert_eq!(gateway.addresses.len(), 2, "three bytes are no address");
    let at = |wire: wire::GatewayAddress| GatewayAddress {
        destination: destination(&wire).expect("an address"),
        port: 15008,
    };
    let mapped: Vec<u8> = std::net::Ipv4Addr::new(10, 96, 0, 9).to_ipv6_mapped().octets().to_vec();
    for (address, want) in [
        (by_name("shop", "wp"), true),
        (by_name("other", "wp"), false),
        (by_name("shop", "other"), false),
        (by_ip(&[10, 96, 0, 9]), true),
        (by_ip(&mapped), true),
        (by_ip(&[10, 96, 0, 8]), false),
    ] {
        assert_eq!(gateway.is_at(&at(address.clone())), want, "{address:?}");
    }
}

#[test]
fn whom_it_trusts_is_said_by_name() {
    let gateway = gateway(Vec::new(), &["cluster.local", "old.example"]).expect("readable");
    for (domain, want) in [
        ("cluster.local", true),
        ("old.example", true),
        ("cluster.local.evil", false),
        ("x", false),
    ] {
        let peer = format!("spiffe://{domain}/ns/shop/sa/web").parse().expect("an identity");
        assert_eq!(gateway.trusts(&peer), want, "{domain}");
    }
    let error = self::gateway(Vec::new(), &["not a domain"]).expect_err("unreadable");
    assert_eq!(error.to_string(), "Gateway/shop/wp: trust_domains is not readable");
}

#[test]
fn routes_and_policies_name_it_by_namespace_and_name() {
    let gateway = gateway(Vec::new(), &[]).expect("readable");
    let named = |namespace: &str, name: &str| ObjectName {
        kind: "Gateway".into(),
        namespace: namespace.into(),
        name: name.into(),
    };
    assert!(gateway.is(&named("shop", "wp")) && gateway.is(&gateway.object()));
    assert!(!gateway.is(&named("other", "wp")) && !gateway.is(&named("shop", "other")));
}
