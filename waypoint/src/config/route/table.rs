//! The rules of one service port in the order in which they are tried.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{HostPattern, Route, RouteMatch, Rule};
use crate::config::view::RequestView;

/// Every match of every route of a service port, the most specific first.
#[derive(Debug, Default)]
pub struct RouteTable {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    route: Arc<Route>,
    rule: usize,
    of_rule: usize,
}

/// A rule that was found for a request.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The rule.
    pub rule: &'a Arc<Rule>,
    /// The path, or the beginning of it, that the rule names.
    pub matched: &'a str,
}

impl RouteTable {
    /// Merges routes by the precedence of the Gateway API (HTTPRouteRule, GRPCRouteRule,
    /// `matches`): a gRPC call, the longest service, the longest method; an exact path, then a
    /// regular expression, then the longest prefix; a method; more headers; more query
    /// parameters; the older route; its name; the order in it. Where the API leaves the place
    /// of regular expressions open, ours is before prefixes, since `/` would hide them. A route
    /// that cannot be read goes before all others, since it might have been any of them.
    pub fn new(routes: &[Arc<Route>]) -> Self {
        let mut entries = Vec::new();
        for route in routes {
            for (rule, (_, matches)) in route.rules.iter().enumerate() {
                let every = 0..matches.len();
                entries.extend(every.map(|of_rule| Entry { route: route.clone(), rule, of_rule }));
            }
        }
        entries.sort_by_cached_key(Entry::order);
        Self { entries }
    }

    /// The rule of a request, if one matches.
    pub fn find(&self, request: &RequestView<'_>) -> Option<Found<'_>> {
        self.entries.iter().find_map(|entry| {
            let (rule, condition) = entry.get()?;
            let hosts = &entry.route.hostnames;
            let host =
                hosts.is_empty() || hosts.iter().any(|h: &HostPattern| h.matches(request.host));
            (host && condition.matches(request))
                .then(|| Found { rule, matched: condition.matched_prefix() })
        })
    }
}

type Order = (
    bool,
    Reverse<(u8, usize, usize)>,
    bool,
    Reverse<usize>,
    Reverse<usize>,
    i64,
    String,
    usize,
    usize,
);

impl Entry {
    fn get(&self) -> Option<(&Arc<Rule>, &RouteMatch)> {
        let (rule, matches) = self.route.rules.get(self.rule)?;
        Some((rule, matches.get(self.of_rule)?))
    }

    fn order(&self) -> Order {
        let condition = self.get().map(|(_, condition)| condition);
        let object = &self.route.object;
        (
            !self.route.unreadable,
            Reverse(condition.map_or((0, 0, 0), |c| c.path.specificity())),
            condition.is_none_or(|c| c.method.is_none()),
            Reverse(condition.map_or(0, |c| c.headers.len())),
            Reverse(condition.map_or(0, |c| c.query.len())),
            self.route.created_ms,
            format!("{}/{}", object.namespace, object.name),
            self.rule,
            self.of_rule,
        )
    }
}
