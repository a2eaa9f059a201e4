use super::*;

fn key(algorithm: &str, kind: pb::token_key::Kind) -> pb::TokenKey {
    pb::TokenKey { id: "k".to_owned(), algorithm: algorithm.to_owned(), kind: Some(kind) }
}

#[test]
fn a_key_that_cannot_be_used_is_none() {
    let curve = |curve: pb::curve_key::Curve, point: Vec<u8>| {
        pb::token_key::Kind::Curve(pb::CurveKey { curve: curve.into(), point })
    };
    let rsa = |modulus: Vec<u8>| {
        pb::token_key::Kind::Rsa(pb::RsaKey { modulus, exponent: vec![1, 0, 1] })
    };
    let modulus = vec![0xc3; 256];
    for (case, wire, usable) in [
        ("nothing", pb::TokenKey::default(), false),
        ("RSA", key("", rsa(modulus.clone())), true),
        ("RSA for one algorithm", key("PS384", rsa(modulus.clone())), true),
        ("RSA for HMAC", key("HS256", rsa(modulus.clone())), false),
        ("RSA for none", key("none", rsa(modulus)), false),
        ("an empty modulus", key("", rsa(Vec::new())), false),
        ("no curve", key("", curve(pb::curve_key::Curve::Unset, vec![4; 65])), false),
        ("no point of the curve", key("", curve(pb::curve_key::Curve::P256, vec![4; 65])), false),
        ("too short", key("", curve(pb::curve_key::Curve::Ed25519, vec![1; 31])), false),
    ] {
        assert_eq!(Key::compile(&wire).is_some(), usable, "{case}");
    }
}

#[test]
fn what_is_not_understood_is_told() {
    let rule = |issuer: &str, refused: &str| pb::TokenRule {
        issuer: issuer.to_owned(),
        refused: refused.to_owned(),
        ..Default::default()
    };
    let header = pb::TokenHeader { name: "a b".to_owned(), prefix: String::new() };
    let place = pb::TokenRule { from_headers: vec![header], ..rule("i", "") };
    for (case, rules, want) in [
        ("no keys", vec![rule("i", "")], vec!["none of its keys can be used"]),
        ("refused", vec![rule("i", "not fetched")], vec!["not fetched"]),
        ("no issuer", vec![rule("", "")], vec!["a rule has no issuer"]),
        ("no place", vec![place], vec!["\"a b\" is no name of a header"]),
    ] {
        let compiled = Authentication::compile(&pb::Authentication { rules, ..Default::default() });
        assert_eq!(compiled.not_understood().collect::<Vec<_>>(), want, "{case}");
    }
}
