//! The signed credentials of nodes and pods: JSON web tokens (RFC 7519), ES256.
//!
//! docs/wire.md, "The node service".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::model::object::Key;
use crate::state::{StateDir, StateError};

const KEY: &str = "token-key.pem";
const ISSUER: &str = "ambit";

/// The audience that every service of the control plane wants.
pub const AUDIENCE: &str = "istio-ca";

/// Clocks may differ by this much, seconds.
const SKEW: u64 = 60;

/// What a credential says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: Vec<String>,
    sub: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    /// The machine.
    pub node: String,
    /// What it stands for.
    pub subject: Subject,
}

/// What a credential stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// A machine.
    Node,
    /// One pod.
    Pod {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
}

impl Claims {
    /// Namespace and service account.
    pub fn account(&self) -> (&str, &str) {
        let account = self.sub.strip_prefix("system:serviceaccount:");
        account.and_then(|a| a.split_once(':')).unwrap_or_default()
    }
}

/// A credential, ready to be handed out.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The token.
    pub token: String,
    /// Seconds since 1970 at which it ends.
    pub expires: i64,
}

/// Why a credential is not made or not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The signing key is missing, corrupt or cannot be written.
    #[error("credential key")]
    State(#[from] StateError),
    /// No key of ours.
    #[error("token-key.pem of the state directory holds no P-256 key; restore it from a backup")]
    Key,
    /// Signature, times, audience, form.
    #[error("credential")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// Its account has no form that we give.
    #[error("credential without a service account")]
    Account,
    /// Before 1970.
    #[error("the clock says a time before 1970")]
    Clock,
}

/// Makes and verifies credentials.
pub struct Issuer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    life: Duration,
    account: Key,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("life", &self.life).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Opens the key of the state directory; it is made, once, if there is none. Credentials
    /// last `life`; those of nodes carry the service account `account`.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn open(state: &StateDir, account: Key, life: Duration) -> Result<Self, CredentialError> {
        let pem = if let Some(pem) = state.read(KEY)? {
            String::from_utf8(pem).map_err(|_| CredentialError::Key)?
        } else {
            let key = rcgen::KeyPair::generate().map_err(|_| CredentialError::Key)?;
            let pem = key.serialize_pem();
            state.create(KEY, pem.as_bytes(), 0o600)?;
            pem
        };
        let key = rcgen::KeyPair::from_pem(&pem).map_err(|_| CredentialError::Key)?;
        if key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(CredentialError::Key);
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.leeway = SKEW;
        validation.validate_nbf = true;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // The times are checked here, against the time that is handed in.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Ok(Self {
            encoding: EncodingKey::from_ec_pem(pem.as_bytes())?,
            decoding: DecodingKey::from_ec_der(rcgen::PublicKeyData::der_bytes(&key)),
            validation,
            life,
            account,
        })
    }

    /// A credential for a machine.
    pub fn node(&self, node: &str, now: SystemTime) -> Result<Credential, CredentialError> {
        self.issue(&self.account, node, Subject::Node, now)
    }

    /// A credential for a pod of a machine.
    pub fn pod(
        &self,
        pod: &crate::model::object::Pod,
        now: SystemTime,
    ) -> Result<Credential, CredentialError> {
        let account = Key::new(&pod.meta.key.namespace, &pod.service_account);
        let subject = Subject::Pod { name: pod.meta.key.name.clone(), uid: pod.uid.clone() };
        self.issue(&account, &pod.node, subject, now)
    }

    fn issue(
        &self,
        account: &Key,
        node: &str,
        subject: Subject,
        now: SystemTime,
    ) -> Result<Credential, CredentialError> {
        let now = seconds(now)?;
        let exp = now + self.life.as_secs();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: vec![AUDIENCE.to_owned()],
            sub: format!("system:serviceaccount:{}:{}", account.namespace, account.name),
            iat: now,
            nbf: now,
            exp,
            node: node.to_owned(),
            subject,
        };
        let token = encode(&Header::new(Algorithm::ES256), &claims, &self.encoding)?;
        Ok(Credential { token, expires: i64::try_from(exp).unwrap_or(i64::MAX) })
    }

    /// What a token says, if it is ours and in force at `now`, a minute of skew tolerated.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, CredentialError> {
        use jsonwebtoken::errors::ErrorKind;
        let claims = decode::<Claims>(token, &self.decoding, &self.validation)?.claims;
        let now = seconds(now)?;
        if now >= claims.exp.saturating_add(SKEW) {
            return Err(jsonwebtoken::errors::Error::from(ErrorKind::ExpiredSignature).into());
        }
        if now.saturating_add(SKEW) < claims.nbf {
            return Err(jsonwebtoken::errors::Error::from(ErrorKind::ImmatureSignature).into());
        }
        match claims.account() {
            ("", _) | (_, "") => Err(CredentialError::Account),
            _ => Ok(claims),
        }
    }
}

fn seconds(time: SystemTime) -> Result<u64, CredentialError> {
    time.duration_since(UNIX_EPOCH).map(|d| d.as_secs()).map_err(|_| CredentialError::Clock)
}

#[cfg(test)]
mod tests;
