use super::*;

#[test]
fn an_identity_reads_back_as_it_was_written() {
    let id: SpiffeId = "spiffe://cluster.local/ns/shop/sa/web".parse().expect("valid");
    assert_eq!(id.namespace(), "shop");
    assert_eq!(id.service_account(), "web");
    assert_eq!(id.to_string(), "spiffe://cluster.local/ns/shop/sa/web");
    assert_eq!(id.principal().to_string(), "cluster.local/ns/shop/sa/web");
}

#[test]
fn an_empty_service_account_is_default() {
    let id = SpiffeId::new(TrustDomain::default(), "shop", "").expect("valid");
    assert_eq!(id.to_string(), "spiffe://cluster.local/ns/shop/sa/default");
}

#[test]
fn whatever_is_not_exactly_a_mesh_identity_is_refused() {
    for (case, text) in [
        ("empty", ""),
        ("no scheme", "cluster.local/ns/a/sa/b"),
        ("other scheme", "https://cluster.local/ns/a/sa/b"),
        ("upper-case scheme", "SPIFFE://cluster.local/ns/a/sa/b"),
        ("empty trust domain", "spiffe:///ns/a/sa/b"),
        ("empty namespace", "spiffe://td/ns//sa/b"),
        ("empty account", "spiffe://td/ns/a/sa/"),
        ("segment too many", "spiffe://td/ns/a/sa/b/c"),
        ("trailing slash", "spiffe://td/ns/a/sa/b/"),
        ("segment too few", "spiffe://td/ns/a/sa"),
        ("escaped slash", "spiffe://td/ns/a%2fsa%2fx/sa/b"),
        ("nul", "spiffe://td/ns/a/sa/b\0"),
        ("upper-case namespace", "spiffe://td/ns/A/sa/b"),
        ("port", "spiffe://td:443/ns/a/sa/b"),
        ("user", "spiffe://u@td/ns/a/sa/b"),
        ("query", "spiffe://td/ns/a/sa/b?x"),
        ("fragment", "spiffe://td/ns/a/sa/b#x"),
        ("dot segment", "spiffe://td/ns/../sa/b"),
        ("keys swapped", "spiffe://td/sa/a/ns/b"),
        ("line break", "spiffe://td/ns/a/sa/b\r\n"),
    ] {
        assert!(text.parse::<SpiffeId>().is_err(), "{case}");
    }
    assert!(format!("spiffe://td/ns/{}/sa/b", "a".repeat(4000)).parse::<SpiffeId>().is_err());
}

#[test]
fn a_hostile_text_cannot_fill_the_log() {
    let error = "x".repeat(1 << 20).parse::<SpiffeId>().expect_err("no identity");
    assert!(error.to_string().len() < 300);
}
