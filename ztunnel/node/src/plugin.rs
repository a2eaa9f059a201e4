//! The CNI plugin: the last of a node's chain, it holds a pod's start until the node agent has
//! captured the pod (docs/wire.md, "The CNI call"; CNI specification 1.1).
//!
//! It changes nothing itself. The agent decides who takes part; an agent that does not answer
//! fails the start, so that no pod runs unprotected because its node was not ready.
//!
//! - [`request`]: what the runtime says
//! - [`call`]: the call of the agent

pub mod call;
pub mod request;

use serde_json::{Value, json};

use self::request::{Request, RequestError, Verb};

/// Its name: of the program, and the `type` in a configuration.
pub const NAME: &str = "ambit-cni";

/// Versions of the specification whose configuration and results it takes.
pub const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// Why a pod may not start; printed as the specification wants it.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The runtime's words make no sense.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The agent did not say yes.
    #[error("pod {pod} is not captured, so it may not start")]
    Agent {
        /// Namespace and name.
        pod: String,
        /// Why.
        source: call::CallError,
    },
}

impl PluginError {
    /// The code of the specification, "Well-known Error Codes"; from 100 on they are ours.
    fn code(&self) -> u32 {
        match self {
            Self::Request(RequestError::Version(_)) => 1,
            Self::Request(RequestError::Variable { .. }) => 4,
            Self::Request(RequestError::Json(_)) => 6,
            Self::Request(RequestError::NoResult | RequestError::Result(_)) => 7,
            Self::Agent { .. } => 100,
        }
    }

    /// What is printed before the end with status 1.
    pub fn to_json(&self, version: &str) -> Value {
        let details = crate::chain(self);
        json!({"cniVersion": version, "code": self.code(), "msg": details, "details": details})
    }
}

/// Does what the runtime asks for; returns what is printed.
///
/// # Errors
/// See [`PluginError`].
pub async fn run(request: &Request) -> Result<Option<Value>, PluginError> {
    match request.verb {
        Verb::Version => Ok(Some(json!({"cniVersion": "1.1.0", "supportedVersions": VERSIONS}))),
        // Nothing was made that could be missing or left: the agent hears of ends by itself.
        Verb::Check | Verb::Delete | Verb::Other => Ok(None),
        Verb::Add => {
            let result = request.previous_result()?;
            if let Some(pod) = request.pod()? {
                let body = request.announcement(&pod)?;
                call::announce(&request.config.run_dir, &body).await.map_err(|source| {
                    PluginError::Agent { pod: format!("{}/{}", pod.namespace, pod.name), source }
                })?;
            }
            Ok(Some(result.clone()))
        }
    }
}

#[cfg(test)]
mod tests;
