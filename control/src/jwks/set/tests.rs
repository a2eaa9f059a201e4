use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::*;

/// A key set as an issuer publishes it.
pub(crate) fn jwks(algorithm: Algorithm, id: &str) -> Value {
    let generate = |kind| rcgen::KeyPair::generate_for(kind).expect("a key");
    let key = match algorithm {
        Algorithm::RS256 => {
            let pem = generate(&rcgen::PKCS_RSA_SHA256).serialize_pem();
            EncodingKey::from_rsa_pem(pem.as_bytes()).expect("RSA")
        }
        Algorithm::EdDSA => {
            let random = aws_lc_rs::rand::SystemRandom::new();
            let made = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&random);
            EncodingKey::from_ed_der(made.expect("a key").as_ref())
        }
        Algorithm::ES384 => {
            EncodingKey::from_ec_der(&generate(&rcgen::PKCS_ECDSA_P384_SHA384).serialize_der())
        }
        _ => EncodingKey::from_ec_der(&generate(&rcgen::PKCS_ECDSA_P256_SHA256).serialize_der()),
    };
    let mut jwk = Jwk::from_encoding_key(&key, algorithm).expect("a public key");
    jwk.common.key_id = Some(id.to_owned());
    json!({"keys": [jwk]})
}

/// The only key of a set, changed.
fn changed(set: &Value, changes: &[(&str, Value)]) -> Value {
    let mut key = set["keys"][0].clone();
    for (name, value) in changes {
        key[*name] = value.clone();
    }
    key
}

#[test]
fn keys_of_every_type_are_read_and_others_left_out_with_the_reason() {
    let rsa = jwks(Algorithm::RS256, "r");
    let p256 = jwks(Algorithm::ES256, "p");
    let p384 = jwks(Algorithm::ES384, "q");
    let ed = jwks(Algorithm::EdDSA, "e");
    let short = URL_SAFE_NO_PAD.encode([0xc3; 128]);
    let padded = format!("{}=", p256["keys"][0]["x"].as_str().expect("x"));
    for (case, key, want) in [
        ("RSA", changed(&rsa, &[]), "r RS256 Rsa"),
        ("RSA for any", changed(&rsa, &[("alg", json!(""))]), "r  Rsa"),
        ("P-256", changed(&p256, &[]), "p ES256 P256"),
        ("P-384", changed(&p384, &[]), "q ES384 P384"),
        ("Ed25519", changed(&ed, &[]), "e EdDSA Ed25519"),
        ("without an id", changed(&p256, &[("kid", json!(""))]), " ES256 P256"),
        ("with padding", changed(&p256, &[("x", json!(padded))]), "p ES256 P256"),
        ("for signatures", changed(&p256, &[("use", json!("sig"))]), "p ES256 P256"),
        ("certificates beside it", changed(&p256, &[("x5c", json!(["MII"]))]), "p ES256 P256"),
        ("for encryption", changed(&p256, &[("use", json!("enc"))]), "its use is not sig"),
        (
            "to sign only",
            changed(&p256, &[("key_ops", json!(["sign"]))]),
            "its key_ops lack verify",
        ),
        (
            "another algorithm",
            changed(&rsa, &[("alg", json!("RSA-OAEP"))]),
            "its alg \"RSA-OAEP\" is none of RS256",
        ),
        (
            "HMAC with a public key",
            changed(&rsa, &[("alg", json!("HS256"))]),
            "its alg \"HS256\" is none of",
        ),
        (
            "of another curve",
            changed(&p256, &[("alg", json!("ES384"))]),
            "its alg \"ES384\" is none of ES256",
        ),
        (
            "an unknown curve",
            changed(&p256, &[("crv", json!("secp256k1"))]),
            "its crv \"secp256k1\"",
        ),
        ("1,024 bits", changed(&rsa, &[("n", json!(short))]), "it has 1024 bits, not 2048 to 8192"),
        ("no exponent", changed(&rsa, &[("e", json!("AA"))]), "its e is 0"),
        ("no base64", changed(&p256, &[("x", json!("+/"))]), "its x is no base64url"),
        (
            "too long a point",
            changed(&p256, &[("x", json!(URL_SAFE_NO_PAD.encode([1; 33])))]),
            "its x is longer than 32 bytes",
        ),
        ("a short key", changed(&ed, &[("x", json!("AAAA"))]), "its x has not 32 bytes"),
        ("a secret", json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s"}), "it is a shared secret"),
        ("no type", json!({"kid": "s"}), "its kty is \"\""),
        ("no object", json!("key"), "invalid type"),
        ("a number as id", changed(&p256, &[("kid", json!(1))]), "invalid type"),
    ] {
        let text = json!({"keys": [key]}).to_string();
        let told = match KeySet::read(text.as_bytes()) {
            Ok(read) => {
                let [key] = &read.set.keys[..] else { panic!("{case}: one key") };
                assert_eq!(read.remarks, Vec::<String>::new(), "{case}");
                let public = format!("{:?}", key.public);
                let kind = public.split(['(', ' ']).next().unwrap_or_default();
                format!("{} {} {kind}", key.id, key.algorithm)
            }
            Err(error) => error.to_string(),
        };
        assert!(told.contains(want), "{case}: {told}");
    }
}

#[test]
fn a_set_is_cut_down_to_what_is_public_and_of_use() {
    let good = jwks(Algorithm::ES256, "good");
    let private = changed(&good, &[("d", json!("c2VjcmV0")), ("kid", json!("private"))]);
    let oct = json!({"kty": "oct", "k": "c2VjcmV0"});
    let text = json!({"keys": [private, oct, good["keys"][0]]}).to_string();
    let read = KeySet::read(text.as_bytes()).expect("two are of use");
    let ids: Vec<&str> = read.set.keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["private", "good"]);
    let remarks = read.remarks.join("; ");
    for want in
        ["keys[0] has its secret part", "keys[1] has its secret part", "keys[1] is not used"]
    {
        assert!(remarks.contains(want), "{remarks}");
    }
    assert!(!format!("{:?}", read.set).contains("c2VjcmV0"));
}

#[test]
fn a_set_has_limits() {
    let key = &jwks(Algorithm::ES256, "k")["keys"][0];
    let of = |n: usize| json!({"keys": vec![key; n]}).to_string();
    assert_eq!(KeySet::read(of(MAX_KEYS).as_bytes()).expect("fits").set.keys.len(), MAX_KEYS);
    let error = KeySet::read(of(MAX_KEYS + 1).as_bytes()).expect_err("too many");
    assert_eq!(error.to_string(), "has 65 keys, more than MAX_KEYS (64)");
    let long = " ".repeat(MAX_KEY_SET) + &of(1);
    assert_eq!(KeySet::read(long.as_bytes()), Err(KeySetError::TooLong));
    for (text, want) in [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[]", "has no list \"keys\""),
        ("{\"keys\": {}}", "has no list \"keys\""),
        ("{\"keys\": []}", "has no key that verifies tokens"),
        ("<html>", "is no JSON"),
    ] {
        let error = KeySet::read(text.as_bytes()).expect_err(text);
        assert!(error.to_string().contains(want), "{text}: {error}");
    }
    let deep = format!("{{\"keys\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(KeySet::read(deep.as_bytes()), Err(KeySetError::Json(_))));
}

#[test]
fn a_remark_repeats_no_more_than_a_line_of_a_set() {
    for field in ["kty", "alg", "use", "key_ops", "n"] {
        let mut key = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
        key[field] = json!("x".repeat(10_000));
        let text = json!({"keys": [key]}).to_string();
        let said = KeySet::read(text.as_bytes()).expect_err(field).to_string();
        assert!(said.len() < 300, "{field}: {}", said.len());
    }
}

#[test]
fn a_point_that_lost_its_zeros_gets_them_back() {
    let raw = Raw {
        x: URL_SAFE_NO_PAD.encode([0, 1, 2]),
        y: URL_SAFE_NO_PAD.encode([3; 32]),
        ..Raw::default()
    };
    let point = point(&raw, 32).expect("a point");
    assert_eq!(point.len(), 65);
    assert_eq!((point[0], &point[31..33], &point[33..]), (4, &[1, 2][..], &[3; 32][..]));
}
