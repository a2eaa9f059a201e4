//! Addresses of a ServiceEntry's hosts, in its status: the one replica that writes gives them,
//! all replicas serve what is there. Pure, but for what is on its way.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::model::entry::{Given, ServiceEntry};
use crate::model::object::Key;
use crate::model::world::World;

/// What was written and is not heard of yet.
#[derive(Debug, Default)]
pub struct OnItsWay(BTreeMap<Key, Given>);

impl OnItsWay {
    /// What the hosts of an entry shall have, and hosts for which nothing is left.
    pub fn allot(&self, world: &World, entry: &ServiceEntry) -> (Given, Vec<String>) {
        let key = &entry.meta.key;
        if let Some(written) = self.0.get(key)
            && entry.wants_addresses().iter().eq(written.keys())
        {
            return (written.clone(), Vec::new());
        }
        let others = self.0.iter().filter(|(other, _)| *other != key);
        let others: Vec<&IpAddr> = others.flat_map(|(_, given)| given.values().flatten()).collect();
        world.vips.allot(entry, |ip| others.contains(&ip))
    }

    /// Notes what was written.
    pub fn wrote(&mut self, entry: &Key, status: &Value) {
        if let Some(addresses) = status.get("addresses") {
            self.0.insert(entry.clone(), read(addresses));
        }
    }

    /// Forgets what the model has heard of by now, or has no use for.
    pub fn heard(&mut self, world: &World) {
        self.0.retain(|key, given| {
            let known = world.vips.given(key).cloned().unwrap_or_default();
            world.entry(key).is_some() && known != *given
        });
    }
}

/// As the status has them.
pub fn written(given: &Given) -> Value {
    let pairs = given.iter().flat_map(|(host, all)| all.iter().map(move |ip| (host, ip)));
    pairs.map(|(host, ip)| json!({"value": ip.to_string(), "host": host})).collect()
}

fn read(addresses: &Value) -> Given {
    let mut given = Given::new();
    for address in addresses.as_array().into_iter().flatten() {
        let text = |field: &str| address[field].as_str().unwrap_or_default();
        if let Ok(ip) = text("value").parse() {
            given.entry(text("host").to_owned()).or_default().push(ip);
        }
    }
    given
}

#[cfg(test)]
mod tests;
