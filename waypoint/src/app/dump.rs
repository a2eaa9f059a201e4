//! `/config_dump`: all that this waypoint knows (docs/wire.md, "Configuration dump").

use std::time::SystemTime;

use hbone::tls::WorkloadCertificate;
use hbone::wire::workload::{LocalService, LocalWorkload};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Config;
use crate::config::policy::{Action, Policy, Target};
use crate::pipeline::World;

/// The dump as JSON, in the form of a node proxy's. It copies the whole state: for people.
pub(super) fn config_dump(
    config: &Config,
    world: &World,
    certificate: Option<&WorkloadCertificate>,
) -> Value {
    let mut workloads: Vec<LocalWorkload> =
        world.directory.workloads().map(|workload| (&**workload).into()).collect();
    workloads.sort_unstable_by(|a, b| a.uid.cmp(&b.uid));
    let mut services: Vec<LocalService> =
        world.directory.services().map(|service| (&**service).into()).collect();
    services.sort_unstable_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let mut policies: Vec<Value> = world.config.all_policies().map(|one| policy(one)).collect();
    policies.sort_unstable_by_key(Value::to_string);
    policies.dedup();
    let gateway = world.config.gateway.as_ref().map(|gateway| gateway.object());
    json!({
        "version": { "version": env!("CARGO_PKG_VERSION") },
        "config": {
            "gateway": config.gateway,
            "namespace": config.identity.namespace(),
            "identity": config.identity.to_string(),
            "localNode": config.node,
            "xdsAddress": config.xds_address,
            "caAddress": config.ca_address,
            "numWorkerThreads": config.worker_threads,
        },
        "gatewayKnown": gateway.is_some(),
        "workloads": workloads,
        "services": services,
        "policies": policies,
        "certificates": [certificate_dump(config, certificate)],
    })
}

fn policy(policy: &Policy) -> Value {
    let targets = policy.targets.iter().map(|target| match target {
        Target::Gateway(object) => object.to_string(),
        Target::Service(key) => format!("Service/{key}"),
    });
    let action = match policy.action {
        Action::Allow => "Allow",
        Action::Deny => "Deny",
        Action::Audit => "Audit",
        Action::Custom => "Custom",
    };
    json!({
        "name": &*policy.object.name,
        "namespace": &*policy.object.namespace,
        "kind": &*policy.object.kind,
        "action": action,
        "targets": targets.collect::<Vec<_>>(),
        "provider": &*policy.provider,
        "dryRun": policy.dry_run,
    })
}

fn certificate_dump(config: &Config, certificate: Option<&WorkloadCertificate>) -> Value {
    let chain = certificate.map(|certificate| {
        json!([{
            "validFrom": rfc3339(certificate.not_before()),
            "expirationTime": rfc3339(certificate.not_after()),
        }])
    });
    json!({
        "identity": config.identity.to_string(),
        "state": if certificate.is_some() { "Available" } else { "Initializing" },
        "certChain": chain.unwrap_or_else(|| json!([])),
        "rootCerts": [],
    })
}

fn rfc3339(at: SystemTime) -> Option<String> {
    OffsetDateTime::from(at).format(&Rfc3339).ok()
}
