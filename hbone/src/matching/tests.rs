use super::{Caller, ServiceAccountMatch, StringMatch, block_contains, canonical_block};

#[test]
fn a_text_is_compared_as_written() {
    use StringMatch::{Exact, Prefix, Presence, Suffix};
    for (case, rule, text, want) in [
        ("whole", Exact("ab".into()), Some("ab"), true),
        ("whole, longer", Exact("ab".into()), Some("abc"), false),
        ("whole, other case", Exact("ab".into()), Some("AB"), false),
        ("beginning", Prefix("ab".into()), Some("abc"), true),
        ("beginning is all", Prefix("ab".into()), Some("ab"), true),
        ("not the beginning", Prefix("ab".into()), Some("cab"), false),
        ("end", Suffix("ab".into()), Some("cab"), true),
        ("not the end", Suffix("ab".into()), Some("abc"), false),
        ("present", Presence, Some("x"), true),
        ("present but empty", Presence, Some(""), false),
        ("absent", Presence, None, false),
        ("absent, whole", Exact("".into()), None, false),
        ("absent, beginning", Prefix("".into()), None, false),
        ("absent, end", Suffix("".into()), None, false),
    ] {
        assert_eq!(rule.matches(text), want, "{case}");
    }
}

#[test]
fn blocks_are_compared_across_the_mapped_form() {
    for (block, address, want) in [
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("10.9.9.9/8", "10.1.2.3", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("::ffff:10.0.0.0/104", "10.1.2.3", true),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true),
        ("::ffff:0.0.0.0/96", "192.0.2.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true),
        ("::/0", "10.0.0.1", false),
        ("2001:db8::/32", "2001:db8:1::1", true),
        ("10.0.0.1/32", "10.0.0.1", true),
        ("10.0.0.1/32", "10.0.0.2", false),
    ] {
        let parsed = canonical_block(block.parse().unwrap());
        assert_eq!(block_contains(&parsed, address.parse().unwrap()), want, "{block} {address}");
    }
}

#[test]
fn a_caller_is_compared_without_its_scheme() {
    let web = Caller::authenticated("spiffe://td.example/ns/shop/sa/web".parse().unwrap());
    assert_eq!(web.principal(), Some("td.example/ns/shop/sa/web"));
    assert_eq!(web.namespace(), "shop");
    let nobody = Caller::new(None);
    assert_eq!((nobody.principal(), nobody.namespace()), (None, ""));
}

#[test]
fn a_service_account_ignores_the_trust_domain() {
    let rule = ServiceAccountMatch { namespace: "shop".into(), service_account: "web".into() };
    for (id, want) in [
        ("spiffe://one/ns/shop/sa/web", true),
        ("spiffe://two/ns/shop/sa/web", true),
        ("spiffe://one/ns/shop/sa/api", false),
        ("spiffe://one/ns/bank/sa/web", false),
    ] {
        assert_eq!(rule.matches(&Caller::authenticated(id.parse().unwrap())), want, "{id}");
    }
    assert!(!rule.matches(&Caller::anonymous()));
}
