//! What attackers do with tokens: each is refused, whatever its signature.

use super::*;

/// RFC 8725 section 2: each a token that some verifier somewhere has accepted.
#[test]
fn a_forged_token_is_refused() {
    let rsa = Issuer::new(Algorithm::RS256);
    let snapshot = one(vec![rule(vec![rsa.public("one")])]);
    let body = claims(&json!({}));
    let good = rsa.token(&body);
    assert_eq!(judge(&snapshot, &bearer(&good)), ANN, "the real one");
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let unsigned =
        |header: &Value| format!("{}.{}.", encode(header.to_string()), encode(body.to_string()));
    // The public key, in every form that somebody may take for a secret.
    let jsonwebtoken::jwk::AlgorithmParameters::RSA(public) = rsa.parameters() else {
        panic!("RSA")
    };
    let swapped = |secret: &[u8]| {
        let header = json!({"alg": "HS256", "kid": "one"});
        let message = format!("{}.{}", encode(header.to_string()), encode(body.to_string()));
        let key = EncodingKey::from_secret(secret);
        let signed = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
        format!("{message}.{}", signed.expect("signed"))
    };
    let elsewhere = Issuer::new(Algorithm::RS256);
    let jsonwebtoken::jwk::AlgorithmParameters::RSA(own) = elsewhere.parameters() else {
        panic!("RSA")
    };
    let own = json!({"kty": "RSA", "n": own.n, "e": own.e});
    let admin = encode(claims(&json!({"sub": "admin"})).to_string());
    let flipped =
        signature.replacen(&signature[..1], if signature.starts_with('A') { "B" } else { "A" }, 1);
    let sign = |header: &Value| rsa.sign(header, &body);
    for (case, token, want) in [
        ("no signature", unsigned(&json!({"alg": "none"})), "algorithm"),
        ("no signature, in other letters", unsigned(&json!({"alg": "nOnE"})), "algorithm"),
        ("none, with a signature", sign(&json!({"alg": "none"})), "algorithm"),
        ("the signature left out", format!("{header}.{payload}."), "signature"),
        ("HMAC by the modulus", swapped(public.n.as_bytes()), "algorithm"),
        ("HMAC by nothing", swapped(b""), "algorithm"),
        ("HMAC named, RSA signed", sign(&json!({"alg": "HS256"})), "algorithm"),
        ("another family", sign(&json!({"alg": "ES256"})), "algorithm"),
        ("another hash", sign(&json!({"alg": "RS512"})), "signature"),
        ("alg in small letters", sign(&json!({"alg": "rs256"})), "algorithm"),
        ("alg is no text", sign(&json!({"alg": ["RS256"]})), "malformed"),
        ("no alg", sign(&json!({"kid": "one"})), "malformed"),
        ("critical", sign(&json!({"alg": "RS256", "crit": ["exp"], "exp": 1})), "critical"),
        ("critical and empty", sign(&json!({"alg": "RS256", "crit": []})), "critical"),
        ("critical and null", sign(&json!({"alg": "RS256", "crit": null})), "critical"),
        (
            "detached payload",
            sign(&json!({"alg": "RS256", "b64": false, "crit": ["b64"]})),
            "critical",
        ),
        (
            "kid is a path",
            sign(&json!({"alg": "RS256", "kid": "../../../../dev/null"})),
            "unknown_key",
        ),
        ("kid is a query", sign(&json!({"alg": "RS256", "kid": "one' OR '1'='1"})), "unknown_key"),
        ("kid is no text", sign(&json!({"alg": "RS256", "kid": 1})), "malformed"),
        ("kid is unknown", sign(&json!({"alg": "RS256", "kid": "two"})), "unknown_key"),
        (
            "a key of its own",
            elsewhere.sign(&json!({"alg": "RS256", "kid": "one", "jwk": own}), &body),
            "signature",
        ),
        (
            "a key from elsewhere",
            elsewhere.sign(&json!({"alg": "RS256", "jku": "https://evil.example/keys"}), &body),
            "signature",
        ),
        ("another payload", format!("{header}.{admin}.{signature}"), "signature"),
        ("a bit of the signature", format!("{header}.{payload}.{flipped}"), "signature"),
        ("padding", format!("{header}.{payload}.{signature}="), "malformed"),
        ("the other alphabet", format!("{header}.{payload}.{}+/", &signature[..20]), "malformed"),
        ("four parts", format!("{good}.x"), "malformed"),
        ("five parts: encrypted", format!("{header}..a.b.c"), "malformed"),
        ("two parts", format!("{header}.{payload}"), "malformed"),
        ("an opaque token", "2YotnFZFEjr1zCsicMWpAA".to_owned(), "malformed"),
        ("nothing", String::new(), "malformed"),
        ("a blank in it", good.replacen('.', " .", 1), "malformed"),
        ("another token behind it", format!("{good} {good}"), "malformed"),
        ("too long", format!("{header}.{}.{signature}", "a".repeat(MAX_TOKEN)), "too_long"),
        ("header is no object", rsa.sign_text("[]", &body.to_string()), "malformed"),
        ("payload is no object", rsa.sign_text(r#"{"alg":"RS256"}"#, "1"), "malformed"),
        ("payload is no JSON", rsa.sign_text(r#"{"alg":"RS256"}"#, "{"), "malformed"),
        (
            "payload is no UTF-8",
            {
                let message =
                    format!("{}.{}", encode(r#"{"alg":"RS256"}"#), encode(b"{\"iss\":\"\xff\"}"));
                rsa.sign_as(&message, Algorithm::RS256)
            },
            "malformed",
        ),
        (
            "payload is deep",
            rsa.sign_text(
                r#"{"alg":"RS256"}"#,
                &format!("{{\"a\":{}{}}}", "[".repeat(4000), "]".repeat(4000)),
            ),
            "malformed",
        ),
    ] {
        assert_eq!(judge(&snapshot, &bearer(&token)), want, "{case}");
    }
}

#[test]
fn claims_have_types_and_times_a_minute_of_grace() {
    let issuer = Issuer::new(Algorithm::ES256);
    let snapshot = one(vec![rule(vec![issuer.public("one")])]);
    for (case, more, want) in [
        ("in time", json!({}), ANN),
        ("a fraction", json!({"exp": 1_800_000_000.5}), ANN),
        ("over by less than a minute", json!({"exp": NOW - 59}), ANN),
        ("over by a minute", json!({"exp": NOW - 60}), "expired"),
        ("long over", json!({"exp": 0}), "expired"),
        ("before 1970", json!({"exp": -1}), "expired"),
        ("far away", json!({"exp": u64::MAX}), ANN),
        ("exp is a text", json!({"exp": "1900000000"}), "claim_type"),
        ("exp is true", json!({"exp": true}), "claim_type"),
        ("exp is null", json!({"exp": null}), "claim_type"),
        ("exp is a list", json!({"exp": [1_900_000_000]}), "claim_type"),
        ("exp is an object", json!({"exp": {"at": 1_900_000_000}}), "claim_type"),
        ("begins within a minute", json!({"nbf": NOW + 60}), ANN),
        ("begins later", json!({"nbf": NOW + 61}), "not_yet"),
        ("nbf is a text", json!({"nbf": "0"}), "claim_type"),
        ("issued within a minute", json!({"iat": NOW + 60}), ANN),
        ("issued later", json!({"iat": NOW + 61}), "not_yet"),
        ("iat is a text", json!({"iat": "yesterday"}), "claim_type"),
        ("sub is a number", json!({"sub": 7}), "claim_type"),
        ("sub is null", json!({"sub": null}), "claim_type"),
        ("sub is empty", json!({"sub": ""}), "without a subject"),
        ("azp is a list", json!({"azp": ["a"]}), "claim_type"),
        ("iss is a list", json!({"iss": [ISSUER]}), "claim_type"),
        ("iss is another", json!({"iss": "https://issuer.example/"}), "issuer"),
        ("aud is a number", json!({"aud": 1}), "claim_type"),
        ("aud has a number", json!({"aud": ["a", 1]}), "claim_type"),
        ("any audience", json!({"aud": "whoever"}), ANN),
    ] {
        let token = issuer.token(&claims(&more));
        assert_eq!(judge(&snapshot, &bearer(&token)), want, "{case}");
    }
    for (case, text, want) in [
        (
            "exp beyond every number",
            r#"{"iss":"https://issuer.example","sub":"ann","exp":1e999}"#,
            "malformed",
        ),
        ("no exp", r#"{"iss":"https://issuer.example","sub":"ann"}"#, ANN),
        ("no iss", r#"{"sub":"ann","exp":1900000000}"#, "issuer"),
        (
            "exp twice: the last counts",
            r#"{"iss":"https://issuer.example","sub":"ann","exp":1900000000,"exp":1}"#,
            "expired",
        ),
    ] {
        let token = issuer.sign_text(r#"{"alg":"ES256","kid":"one"}"#, text);
        assert_eq!(judge(&snapshot, &bearer(&token)), want, "{case}");
    }
    let token = bearer(&issuer.token(&claims(&json!({}))));
    assert_eq!(judge_at(&snapshot, &token, UNIX_EPOCH - Duration::from_secs(1)), "not_yet");
}

#[test]
fn an_audience_must_be_one_of_those_that_a_rule_names() {
    let issuer = Issuer::new(Algorithm::ES256);
    let wanted = vec!["store".to_owned(), "shop".to_owned()];
    let snapshot =
        one(vec![pb::TokenRule { audiences: wanted, ..rule(vec![issuer.public("one")]) }]);
    for (aud, want) in [
        (json!("store"), ANN),
        (json!(["bank", "shop"]), ANN),
        (json!(["bank"]), "audience"),
        (json!([]), "audience"),
        (json!("STORE"), "audience"),
        (json!("store.example"), "audience"),
    ] {
        let token = issuer.token(&claims(&json!({"aud": aud})));
        assert_eq!(judge(&snapshot, &bearer(&token)), want, "{aud}");
    }
    assert_eq!(judge(&snapshot, &bearer(&issuer.token(&claims(&json!({}))))), "audience", "none");
}

/// `iss/sub` is one text for policies: an issuer must not be able to write another's into it.
#[test]
fn a_subject_does_not_read_like_one_of_another_issuer() {
    let (short, long) = (Issuer::new(Algorithm::ES256), Issuer::new(Algorithm::ES256));
    let realm = "https://issuer.example/realm";
    let of_realm = pb::TokenRule { issuer: realm.to_owned(), ..rule(vec![long.public("one")]) };
    let snapshot = one(vec![rule(vec![short.public("one")]), of_realm]);
    for (case, issuer, more, want) in [
        ("its own", &short, json!({"sub": "ann"}), ANN),
        ("with slashes", &short, json!({"sub": "a/b"}), "https://issuer.example/a/b"),
        ("the other's", &short, json!({"sub": "realm/ann"}), "subject"),
        ("the other itself", &long, json!({"iss": realm}), "https://issuer.example/realm/ann"),
        ("only alike", &short, json!({"sub": "realms/ann"}), "https://issuer.example/realms/ann"),
    ] {
        let token = issuer.token(&claims(&more));
        assert_eq!(judge(&snapshot, &bearer(&token)), want, "{case}");
    }
}
