//! What one service of the shop tells another.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Header that names the service and version that answered, such as `payments/v2`.
pub const SERVED_BY: &str = "x-shop-served-by";

/// The answer of a service, with those of the services that it called.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Who answers: `web`, `orders`, `payments` or `inventory`.
    pub service: String,
    /// Its version.
    pub version: String,
    /// The address that its caller's connection came from.
    pub peer: IpAddr,
    /// What it has to say; a status of 200 and no error means that all went well.
    pub says: String,
    /// Why it could not do its part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it was answered by others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Answer>,
}

impl Answer {
    /// The answer of a service by name, this one's or one below.
    pub fn of(&self, service: &str) -> Option<&Self> {
        if self.service == service {
            return Some(self);
        }
        self.calls.iter().find_map(|call| call.of(service))
    }
}
