//! An issuer of tokens with a real key, signing with another library than the one that verifies.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// The issuer's name in its tokens.
pub(crate) const ISSUER: &str = "https://issuer.example";

/// An issuer.
pub(crate) struct Issuer {
    key: EncodingKey,
    algorithm: Algorithm,
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

impl Issuer {
    /// With a new key for `algorithm`.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let generate = |kind| rcgen::KeyPair::generate_for(kind).expect("a key");
        let key = match algorithm {
            Algorithm::ES256 => {
                EncodingKey::from_ec_der(&generate(&rcgen::PKCS_ECDSA_P256_SHA256).serialize_der())
            }
            Algorithm::ES384 => {
                EncodingKey::from_ec_der(&generate(&rcgen::PKCS_ECDSA_P384_SHA384).serialize_der())
            }
            Algorithm::EdDSA => {
                let random = aws_lc_rs::rand::SystemRandom::new();
                let made = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&random);
                EncodingKey::from_ed_der(made.expect("a key").as_ref())
            }
            _ => {
                let pem = generate(&rcgen::PKCS_RSA_SHA256).serialize_pem();
                EncodingKey::from_rsa_pem(pem.as_bytes()).expect("an RSA key")
            }
        };
        Self { key, algorithm }
    }

    /// The public half, as control sends it.
    pub(crate) fn public(&self, id: &str) -> pb::TokenKey {
        let kind = match self.parameters() {
            AlgorithmParameters::RSA(key) => pb::token_key::Kind::Rsa(pb::RsaKey {
                modulus: decode(&key.n),
                exponent: decode(&key.e),
            }),
            AlgorithmParameters::EllipticCurve(key) => {
                let point = [vec![4], decode(&key.x), decode(&key.y)].concat();
                let curve = match self.algorithm {
                    Algorithm::ES384 => pb::curve_key::Curve::P384,
                    _ => pb::curve_key::Curve::P256,
                };
                pb::token_key::Kind::Curve(pb::CurveKey { curve: curve.into(), point })
            }
            AlgorithmParameters::OctetKeyPair(key) => {
                let curve = pb::curve_key::Curve::Ed25519.into();
                pb::token_key::Kind::Curve(pb::CurveKey { curve, point: decode(&key.x) })
            }
            other => panic!("no public key: {other:?}"),
        };
        pb::TokenKey { id: id.to_owned(), algorithm: String::new(), kind: Some(kind) }
    }

    pub(crate) fn parameters(&self) -> AlgorithmParameters {
        Jwk::from_encoding_key(&self.key, self.algorithm).expect("a public key").algorithm
    }

    /// A token with these claims, signed by the key `one`.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": format!("{:?}", self.algorithm), "kid": "one"}), claims)
    }

    /// A token with whatever header.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// A token of whatever texts.
    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        self.sign_as(&message, self.algorithm)
    }

    /// The same key with another of its algorithms.
    pub(crate) fn sign_as(&self, message: &str, algorithm: Algorithm) -> String {
        let signed = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, algorithm);
        format!("{message}.{}", signed.expect("signed"))
    }
}

/// A rule that trusts `keys` and nothing else is said of.
pub(crate) fn rule(keys: Vec<pb::TokenKey>) -> pb::TokenRule {
    pb::TokenRule { issuer: ISSUER.to_owned(), keys, ..Default::default() }
}

/// The object `RequestAuthentication/shop/NAME` of the service `hostname`.
pub(crate) fn authentication(
    name: &str,
    hostname: &str,
    rules: Vec<pb::TokenRule>,
) -> pb::Authentication {
    let service = pb::ServiceRef { namespace: "shop".to_owned(), hostname: hostname.to_owned() };
    let object = pb::ObjectRef {
        kind: "RequestAuthentication".to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    pb::Authentication {
        object: Some(object),
        targets: vec![pb::PolicyTarget { kind: Some(pb::policy_target::Kind::Service(service)) }],
        rules,
        unreadable: String::new(),
    }
}
