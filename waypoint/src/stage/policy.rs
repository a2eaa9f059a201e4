//! DENY and ALLOW policies; leaves the permit.

use std::sync::Arc;

use crate::authorize::authorize;
use crate::pipeline::{Exchange, Flow, Stage};

/// Evaluates DENY and ALLOW policies on the head as it will be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Policies;

impl Stage for Policies {
    const NAME: &'static str = "policy";

    async fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let (config, view) = (&exchange.world.config, exchange.head.view());
        let bearer = exchange.bearer.as_deref();
        let input = exchange.inbound.policy_input(config, Some(view), bearer);
        match authorize(config, exchange.target.services(), &input) {
            Ok(permit) => {
                exchange.record.policy(permit.policy().map(|policy| &policy.object));
                exchange.permit = Some(permit);
                exchange.judged = Some(Arc::clone(&exchange.head));
                Flow::Continue
            }
            Err(failure) => failure.into(),
        }
    }
}
