//! Which rule, and which of its backends.

use crate::config::route::{Backend, BackendTarget};
use crate::directory::Target;
use crate::failure::Failure;
use crate::pipeline::{Destination, Exchange, Flow, Matched, Stage, World};

/// Finds the rule of a request, by the namespace of its caller too. A service without routes is its own backend; a workload that
/// was addressed itself has no routes.
#[derive(Clone, Copy, Debug)]
pub struct Match;

impl Stage for Match {
    const NAME: &'static str = "match";

    async fn on_request(&self, exchange: &mut Exchange) -> Flow {
        match find(exchange) {
            Ok((rule, destination)) => {
                exchange.record.route(rule.as_ref().map(|m| &*m.rule));
                exchange.rule = rule;
                exchange.destination = destination;
                Flow::Continue
            }
            Err(failure) => failure.into(),
        }
    }
}

type Found = (Option<Matched>, Option<Destination>);

fn find(exchange: &Exchange) -> Result<Found, Failure> {
    let Target::Service { service, address } = &exchange.target else {
        return Ok((None, Some(Destination::Addressed)));
    };
    let from = exchange.inbound.peer.namespace();
    let Some(table) = exchange.world.config.routes(&service.key, address.port(), from) else {
        return Ok((None, Some(Destination::Service(service.clone(), address.port()))));
    };
    let found = table.find(&exchange.head.view()).ok_or(Failure::NoRoute)?;
    let rule = found.rule;
    if let Some(reason) = &rule.filters.unsupported {
        return Err(Failure::Misconfigured { route: rule.object.clone(), reason: reason.clone() });
    }
    let mut matched = Matched { rule: rule.clone(), path: found.matched.to_owned(), backend: None };
    if rule.filters.redirect.is_some() {
        return Ok((Some(matched), None));
    }
    let [random, _] = exchange.random;
    let chosen = Backend::choose(&rule.backends, random);
    let position =
        chosen.and_then(|chosen| rule.backends.iter().position(|b| std::ptr::eq(b, chosen)));
    let reason = || "no backend has a weight above 0".to_owned();
    let nothing = || Failure::Misconfigured { route: rule.object.clone(), reason: reason() };
    let target: &BackendTarget = &chosen.ok_or_else(nothing)?.target;
    matched.backend = position;
    let destination = target.resolve(rule, &exchange.world as &World)?;
    Ok((Some(matched), Some(destination)))
}
