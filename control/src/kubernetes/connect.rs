//! The way to the API server.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Why there is no connection to an API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig, or what a pod has instead of one, cannot be used.
    #[error("no usable way to the API server: {0}; give --kubeconfig, or run in a pod")]
    Config(String),
    /// Certificates or keys in it cannot be used.
    #[error("cannot make a client of the API server: {0}")]
    Client(#[source] Box<kube::Error>),
}

/// A client as a kubeconfig file says, or as the account of the pod that this runs in.
///
/// # Errors
/// If neither can be used. That the server does not answer is none: it is waited for.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    let unusable = |error: &dyn std::error::Error| ConnectError::Config(error.to_string());
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
            let options = KubeConfigOptions::default();
            let made = Config::from_custom_kubeconfig(file, &options).await;
            made.map_err(|error| unusable(&error))?
        }
        None => Config::incluster().map_err(|error| unusable(&error))?,
    };
    Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))
}
