//! The authority's certificate and key in a Secret of the system namespace.
//!
//! docs/wire.md, "Certificates". The operator's own, `cacerts`, wins. Without it, what a control
//! plane of this contract made before is taken from `istio-ca-secret`; without that too, a root
//! is made there, once: of two control planes that start at the same time, one makes it and
//! the other one reads it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use tracing::{info, warn};

use crate::ca::root::{Material, Names, Root, RootError};

/// The Secret that an operator makes.
pub const OPERATORS: &str = "cacerts";
/// The Secret that we make.
pub const OURS: &str = "istio-ca-secret";

const NAMES: Names = Names {
    certificate: "ca-cert.pem",
    key: "ca-key.pem",
    chain: "cert-chain.pem",
    roots: "root-cert.pem",
};

/// Pause before the API server is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum RootSecretError {
    /// It may not be read or made.
    #[error("Secret {namespace}/{name}: {said}; grant get on it, and create on secrets")]
    Forbidden {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: &'static str,
        /// What the API server said.
        said: String,
    },
    /// There is no place for it.
    #[error("there is no namespace {0}; create it, or name another one with --system-namespace")]
    NoNamespace(String),
    /// It holds no authority.
    #[error("Secret {namespace}/{name}")]
    Content {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: &'static str,
        /// What is wrong.
        source: RootError,
    },
    /// None could be made.
    #[error("a new root")]
    Make(#[source] RootError),
}

/// Opens the authority of `namespace`, or makes one. Waits for an API server that does not
/// answer.
///
/// # Errors
/// See [`RootSecretError`].
pub async fn open(client: kube::Client, namespace: &str) -> Result<Root, RootSecretError> {
    let secrets: Api<Secret> = Api::namespaced(client, namespace);
    loop {
        match step(&secrets, namespace).await {
            Ok(root) => return Ok(root),
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::Passing(reason)) => {
                warn!(reason, "the authority's Secret cannot be read yet");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

enum Trouble {
    Final(RootSecretError),
    Passing(String),
}

async fn step(secrets: &Api<Secret>, namespace: &str) -> Result<Root, Trouble> {
    for name in [OPERATORS, OURS] {
        let found = secrets.get_opt(name).await.map_err(|error| judge(error, namespace, name))?;
        if let Some(secret) = found {
            info!(secret = format!("{namespace}/{name}"), "the authority comes from a Secret");
            let material = material(secret.data.unwrap_or_default());
            return Root::read(&material, NAMES).map_err(|source| {
                let namespace = namespace.to_owned();
                Trouble::Final(RootSecretError::Content { namespace, name, source })
            });
        }
    }
    let made = Material::make(SystemTime::now());
    let made = made.map_err(|error| Trouble::Final(RootSecretError::Make(error)))?;
    match secrets.create(&PostParams::default(), &secret(&made)).await {
        Ok(_) => {
            info!(secret = format!("{namespace}/{OURS}"), "a new root was made");
            Root::read(&made, NAMES).map_err(|error| Trouble::Final(RootSecretError::Make(error)))
        }
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Err(Trouble::Passing("another control plane made it just now".to_owned()))
        }
        Err(error) => Err(judge(error, namespace, OURS)),
    }
}

fn judge(error: kube::Error, namespace: &str, name: &'static str) -> Trouble {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            Trouble::Final(RootSecretError::NoNamespace(namespace.to_owned()))
        }
        kube::Error::Api(status) if matches!(status.code, 401 | 403 | 422) => {
            let (namespace, said) = (namespace.to_owned(), status.message.clone());
            Trouble::Final(RootSecretError::Forbidden { namespace, name, said })
        }
        error => Trouble::Passing(error.to_string()),
    }
}

fn material(mut data: BTreeMap<String, ByteString>) -> Material {
    let mut take = |name| data.remove(name).map(|bytes| bytes.0).unwrap_or_default();
    let (certificate, key) = (take(NAMES.certificate), take(NAMES.key));
    Material { certificate, key, chain: take(NAMES.chain), roots: take(NAMES.roots) }
}

fn secret(made: &Material) -> Secret {
    let data = [
        (NAMES.certificate, &made.certificate),
        (NAMES.key, &made.key),
        (NAMES.roots, &made.certificate),
    ];
    let data = data.map(|(name, bytes)| (name.to_owned(), ByteString(bytes.clone())));
    let name = Some(OURS.to_owned());
    Secret {
        metadata: ObjectMeta { name, ..ObjectMeta::default() },
        type_: Some("istio.io/ca-root".to_owned()),
        data: Some(BTreeMap::from(data)),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests;
