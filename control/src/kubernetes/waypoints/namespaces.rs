//! A namespace whose label asks for a waypoint gets a Gateway, is bound to it, and loses both
//! with the label.

use std::collections::BTreeMap;
use std::time::Duration;

use hbone::brand;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams,
};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::kubernetes::MANAGER;
use crate::kubernetes::observed::{Observed, Seen};
use crate::kubernetes::touched::Touched;
use crate::model::object::{Kind, ObjectRef};
use crate::translate::waypoint::USE;

/// The field manager of the label by which a namespace is bound, and of nothing else: giving it
/// up takes that label and no other away.
const BINDER: &str = "ambit-control-namespace";
/// How long a Gateway stays after its namespace was unbound: proxies hear of it first.
const UNBOUND: Duration = Duration::from_secs(10);
/// Pause before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(3);
/// Everything is looked at this often, whatever was heard.
const RESYNC: Duration = Duration::from_mins(5);

/// Follows the namespaces' labels. Cheap to clone.
#[derive(Clone)]
pub struct Namespaces {
    /// The API server.
    pub client: Client,
    /// Namespaces and Gateways.
    pub observed: Observed,
    /// Hears of namespaces that cannot have what they ask for.
    pub touched: Touched,
}

/// What is to be done for one namespace. Pure.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// A Gateway to make.
    pub make: Option<String>,
    /// The value of the label by which it is bound: to be set.
    pub bind: Option<String>,
    /// Our label is to be taken away.
    pub unbind: bool,
    /// Gateways that were made for the label and are of no use any more.
    pub remove: Vec<String>,
}

/// What to do for a namespace with these Gateways.
pub fn plan(namespace: &Seen, gateways: &[(ObjectRef, std::sync::Arc<Seen>)]) -> Plan {
    if namespace.is_deleting() || conflict(namespace).is_some() {
        return Plan::default();
    }
    let wish = namespace.label(brand::NAMESPACE_WAYPOINT).filter(|name| !name.is_empty());
    let bound = namespace.label(USE);
    let by_us = (USE.to_owned(), BINDER.to_owned());
    let bound_by_us = bound.is_some() && namespace.applied_labels.contains(&by_us);
    let made = |seen: &Seen| seen.label(brand::MADE_FOR_NAMESPACE) == Some("true");
    let there = |name: &str| gateways.iter().any(|(g, seen)| g.name == name && !seen.is_deleting());
    let surplus = gateways
        .iter()
        .filter(|(gateway, seen)| made(seen) && !seen.is_deleting() && wish != Some(&gateway.name));
    Plan {
        make: wish.filter(|name| !there(name)).map(str::to_owned),
        bind: wish.filter(|name| bound != Some(*name) || !bound_by_us).map(str::to_owned),
        unbind: wish.is_none() && bound_by_us,
        remove: surplus.map(|(gateway, _)| gateway.name.clone()).collect(),
    }
}

/// The label that keeps a namespace from getting the waypoint that it asks for, if any: its own
/// `istio.io/use-waypoint`, with another value.
pub fn conflict(namespace: &Seen) -> Option<String> {
    let wish = namespace.label(brand::NAMESPACE_WAYPOINT).filter(|name| !name.is_empty())?;
    let bound = namespace.label(USE).filter(|bound| *bound != wish)?;
    let by_us = (USE.to_owned(), BINDER.to_owned());
    (!namespace.applied_labels.contains(&by_us)).then(|| {
        format!(
            "label {USE} is {bound:?} and label {} is {wish:?}; remove one of them",
            brand::NAMESPACE_WAYPOINT
        )
    })
}

impl Namespaces {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut changes = self.observed.subscribe();
        // What was there before this replica led is new to it.
        changes.mark_changed();
        let mut position = 0;
        let mut due: BTreeMap<String, Instant> = BTreeMap::new();
        // Since when a Gateway is of no use.
        let mut useless: BTreeMap<(String, String), Instant> = BTreeMap::new();
        let mut resync = Instant::now() + RESYNC;
        loop {
            let next = due.values().min().copied().unwrap_or(resync);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = sleep_until(next.min(resync)) => {}
            }
            let now = Instant::now();
            let (changed, at) = self.observed.since(position);
            position = at;
            for name in changed {
                match name.kind {
                    Kind::Namespace => drop(due.insert(name.name, now)),
                    Kind::Gateway => drop(due.insert(name.namespace, now)),
                    _ => {}
                }
            }
            if resync <= now {
                let all = self.observed.all(Kind::Namespace, None).into_iter();
                due.extend(all.map(|(name, _)| (name.name, now)));
                resync = now + RESYNC;
            }
            let ripe: Vec<String> =
                due.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
            for name in ripe {
                due.remove(&name);
                match self.settle(&name, &mut useless).await {
                    Ok(None) => {}
                    Ok(Some(later)) => drop(due.insert(name, later)),
                    Err(error) => {
                        warn!(namespace = name, %error, "label not followed; trying again");
                        due.insert(name, now + AGAIN);
                    }
                }
            }
        }
    }

    async fn settle(
        &self,
        name: &str,
        useless: &mut BTreeMap<(String, String), Instant>,
    ) -> Result<Option<Instant>, Error> {
        let reference = ObjectRef::new(Kind::Namespace, "", name);
        let Some(namespace) = self.observed.get(&reference) else {
            useless.retain(|(of, _), _| of != name);
            return Ok(None);
        };
        let gateways = self.observed.all(Kind::Gateway, Some(name));
        let plan = plan(&namespace, &gateways);
        if let Some(gateway) = &plan.make {
            self.make(name, gateway).await?;
        }
        if plan.bind.is_some() || plan.unbind {
            self.bind(name, plan.bind.as_deref()).await?;
        }
        useless.retain(|(of, gateway), _| of != name || plan.remove.contains(gateway));
        let now = Instant::now();
        let mut later = None;
        for gateway in &plan.remove {
            let since = useless.entry((name.to_owned(), gateway.clone())).or_insert(now);
            let until = *since + UNBOUND;
            if until <= now {
                self.remove(name, gateway).await?;
            } else {
                later = Some(later.map_or(until, |later: Instant| later.min(until)));
            }
        }
        Ok(later)
    }

    async fn make(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let gateway = gateway(namespace, name);
        let params = PatchParams::apply(MANAGER);
        match self.gateways(namespace).patch(name, &params, &Patch::Apply(&gateway)).await {
            Ok(_) => info!(namespace, gateway = name, "Gateway made by the namespace's label"),
            // Somebody made one first, or the name is none: the namespace is bound all the same,
            // and nobody gets around a waypoint that was asked for.
            Err(Error::Api(status)) if matches!(status.code, 400 | 409 | 422) => {
                warn!(namespace, gateway = name, reason = status.message, "Gateway not made");
                self.touched.touch(&ObjectRef::new(Kind::Namespace, "", namespace));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sets the label, or takes ours away. A label of the same name that is another's stays.
    async fn bind(&self, namespace: &str, waypoint: Option<&str>) -> Result<(), Error> {
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let labels = waypoint.map_or(json!({}), |name| json!({USE: name}));
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": labels},
        });
        match namespaces.patch(namespace, &PatchParams::apply(BINDER), &Patch::Apply(&object)).await
        {
            Ok(_) => info!(namespace, ?waypoint, "namespace bound by its label"),
            Err(Error::Api(status)) if matches!(status.code, 404 | 409) => {
                self.touched.touch(&ObjectRef::new(Kind::Namespace, "", namespace));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn remove(&self, namespace: &str, name: &str) -> Result<(), Error> {
        match self.gateways(namespace).delete(name, &DeleteParams::background()).await {
            Ok(_) => info!(namespace, gateway = name, "Gateway removed with the label"),
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn gateways(&self, namespace: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway");
        let resource = ApiResource::from_gvk_with_plural(&gvk, "gateways");
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }
}

/// The Gateway that a label makes.
fn gateway(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {
            "name": name, "namespace": namespace, "labels": {brand::MADE_FOR_NAMESPACE: "true"},
        },
        "spec": {
            "gatewayClassName": brand::WAYPOINT_CLASS,
            "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
        },
    })
}

#[cfg(test)]
mod tests;
