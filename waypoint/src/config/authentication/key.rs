//! Keys that verify tokens, and the algorithms that each may be used with.
//!
//! A key is bound to its algorithms when it is read, and a token names one of them: nothing that
//! a token says can turn a public key into a secret of HMAC, or a signature into none.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents,
};
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use pb::curve_key::Curve;
use pb::token_key::Kind;

/// RFC 7518 section 3.1.
const RSA: [(&str, &RsaParameters); 6] = [
    ("RS256", &RSA_PKCS1_2048_8192_SHA256),
    ("RS384", &RSA_PKCS1_2048_8192_SHA384),
    ("RS512", &RSA_PKCS1_2048_8192_SHA512),
    ("PS256", &RSA_PSS_2048_8192_SHA256),
    ("PS384", &RSA_PSS_2048_8192_SHA384),
    ("PS512", &RSA_PSS_2048_8192_SHA512),
];

/// A key of an issuer.
#[derive(Debug)]
pub struct Key {
    /// `kid`; none of a key that may have signed any token.
    pub id: Option<String>,
    by_algorithm: Vec<(&'static str, ParsedPublicKey)>,
}

impl Key {
    /// None if it is of no use.
    pub(super) fn compile(wire: &pb::TokenKey) -> Option<Self> {
        let mut by_algorithm = match wire.kind.as_ref()? {
            Kind::Rsa(rsa) => of_rsa(rsa),
            Kind::Curve(curve) => of_curve(curve)?,
        };
        by_algorithm.retain(|(name, _)| wire.algorithm.is_empty() || wire.algorithm == *name);
        let id = Some(wire.id.clone()).filter(|id| !id.is_empty());
        (!by_algorithm.is_empty()).then_some(Self { id, by_algorithm })
    }

    /// Whether it may have signed a token with this `kid`.
    pub fn may_be(&self, id: Option<&str>) -> bool {
        match (&self.id, id) {
            (Some(own), Some(id)) => own == id,
            (None, _) | (_, None) => true,
        }
    }

    /// Whether it is used with `algorithm` and made `signature` of `message`.
    pub fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let mut keys = self.by_algorithm.iter().filter(|(name, _)| *name == algorithm);
        keys.any(|(_, key)| key.verify_sig(message, signature).is_ok())
    }

    /// Whether tokens name it so.
    pub fn is_for(&self, algorithm: &str) -> bool {
        self.by_algorithm.iter().any(|(name, _)| *name == algorithm)
    }
}

fn of_rsa(wire: &pb::RsaKey) -> Vec<(&'static str, ParsedPublicKey)> {
    let key = RsaPublicKeyComponents { n: wire.modulus.as_slice(), e: wire.exponent.as_slice() };
    let with = |(name, parameters): &(&'static str, &'static RsaParameters)| {
        Some((*name, key.to_parsed_public_key(parameters).ok()?))
    };
    RSA.iter().filter_map(with).collect()
}

fn of_curve(wire: &pb::CurveKey) -> Option<Vec<(&'static str, ParsedPublicKey)>> {
    let parse = |algorithm| ParsedPublicKey::new(algorithm, &wire.point).ok();
    Some(match wire.curve() {
        Curve::Unset => return None,
        Curve::P256 => vec![("ES256", parse(&ECDSA_P256_SHA256_FIXED)?)],
        Curve::P384 => vec![("ES384", parse(&ECDSA_P384_SHA384_FIXED)?)],
        // RFC 8037, and the newer name of the same (RFC 9864).
        Curve::Ed25519 => ["EdDSA", "Ed25519"]
            .into_iter()
            .filter_map(|name| Some((name, parse(&ED25519)?)))
            .collect(),
    })
}
