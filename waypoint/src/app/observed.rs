//! How this waypoint stands, for whoever asks (docs/observe.md).

use std::time::{SystemTime, UNIX_EPOCH};

use hbone::identity::SpiffeId;
use hbone::tls::WorkloadCertificate;
use observe::pb::{Backend, Certificate, Origin, Policy, Route, State as Stands};
use observe::recorder::Recorder;
use observe::recorder::discovery::Watched;

use super::Config;
use crate::config::policy::{self, Action, Target};
use crate::config::route::{self, BackendTarget};
use crate::config::store::Kind;
use crate::record::remembered::named;
use crate::state::State;

/// What this waypoint remembers.
pub(super) fn recorder(config: &Config) -> Recorder {
    let origin = Origin {
        node: config.node.clone(),
        kind: "waypoint".to_owned(),
        name: config.pod_name.clone(),
        namespace: config.identity.namespace().to_owned(),
        gateway: config.gateway.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: observe::now_ms(),
    };
    Recorder::new(origin, config.ring.clone())
}

/// What a person wants to know of, of all that comes.
pub(super) const WATCHED: &[Watched] = &[
    Watched {
        type_url: Kind::Gateway.type_url(),
        kind: "waypoint",
        one: "Gateway",
        several: "Gateways",
    },
    Watched {
        type_url: Kind::Route.type_url(),
        kind: "configuration",
        one: "route",
        several: "routes",
    },
    Watched {
        type_url: Kind::Policy.type_url(),
        kind: "policy",
        one: "policy",
        several: "policies",
    },
    Watched {
        type_url: Kind::Authentication.type_url(),
        kind: "policy",
        one: "authentication",
        several: "authentications",
    },
    Watched {
        type_url: Kind::Provider.type_url(),
        kind: "configuration",
        one: "authorizer",
        several: "authorizers",
    },
];

/// What events call it.
pub(super) fn title(config: &Config) -> String {
    format!("waypoint {}/{}", config.identity.namespace(), config.pod_name)
}

/// How it stands now.
pub(super) fn state(
    state: &State,
    identity: &SpiffeId,
    held: Option<&WorkloadCertificate>,
    ready: bool,
) -> Stands {
    let gateway = state.config().gateway.clone();
    let waypoint = gateway.map(|gateway| format!("{}/{}", gateway.namespace, gateway.name));
    let waypoint = waypoint.unwrap_or_default();
    let (routes, policies) = state.objects();
    Stands {
        certificates: vec![certificate(identity, held)],
        ready,
        routes: routes.iter().flat_map(|route| rules(route, &waypoint)).collect(),
        policies: policies.iter().map(|policy| shown(policy)).collect(),
        ..Stands::default()
    }
}

fn certificate(identity: &SpiffeId, held: Option<&WorkloadCertificate>) -> Certificate {
    let ms = |at: SystemTime| {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    };
    let state = match held {
        Some(held) if held.not_after() > SystemTime::now() => "valid",
        Some(_) => "expired",
        None => "pending",
    };
    Certificate {
        identity: identity.to_string(),
        not_before_ms: held.map_or(0, |held| ms(held.not_before())),
        not_after_ms: held.map_or(0, |held| ms(held.not_after())),
        state: state.to_owned(),
        kind: "waypoint".to_owned(),
        ..Certificate::default()
    }
}

fn rules<'a>(route: &'a route::Route, waypoint: &'a str) -> impl Iterator<Item = Route> + 'a {
    let services: Vec<String> = route
        .parents
        .iter()
        .filter_map(|parent| match &parent.target {
            Target::Service(service) => Some(service.to_string()),
            Target::Gateway(_) => None,
        })
        .collect();
    route.rules.iter().map(move |(rule, _)| Route {
        name: format!("{} {}", route.object.kind, named(&route.object)),
        waypoint: waypoint.to_owned(),
        rule: rule.name.to_string(),
        backends: rule.backends.iter().filter_map(backend).collect(),
        services: services.clone(),
    })
}

fn backend(backend: &route::Backend) -> Option<Backend> {
    match &backend.target {
        BackendTarget::Service { service, port } => Some(Backend {
            service: service.to_string(),
            port: (*port).into(),
            weight: backend.weight,
        }),
        BackendTarget::Invalid(_) => None,
    }
}

fn shown(policy: &policy::Policy) -> Policy {
    let of_service = |target: &Target| matches!(target, Target::Service(_));
    Policy {
        name: named(&policy.object),
        action: match policy.action {
            Action::Allow => "ALLOW",
            Action::Deny => "DENY",
            Action::Audit => "AUDIT",
            Action::Custom => "CUSTOM",
        }
        .to_owned(),
        enforced_by: "waypoint".to_owned(),
        scope: if policy.targets.iter().all(of_service) { "service" } else { "waypoint" }
            .to_owned(),
        dry_run: policy.dry_run,
    }
}
