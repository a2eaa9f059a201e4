//! The wire message to the type.
//!
//! A value that cannot be read is left out, which may make a condition laxer or stricter. The
//! policy must only ever become stricter: an ALLOW then matches less, a DENY more.

use ipnet::IpNet;

use super::{Action, Authorization, Clause, List, Match, Rule, Scope};
use crate::matching::{ServiceAccountMatch, StringMatch};
use crate::wire::address;
use crate::wire::error::{WireError, shorten};
use crate::wire::intern::Interner;
use crate::wire::pb::istio::security as pb;

struct Reader<'a> {
    action: Action,
    unreadable: u32,
    interner: &'a mut Interner,
}

/// What reading one match's lists has shown so far.
#[derive(Default)]
struct Strictness {
    never: bool,
    always: bool,
}

impl Authorization {
    /// Checks a policy of the wire.
    ///
    /// # Errors
    /// An unknown scope or action.
    pub fn from_wire(
        message: pb::Authorization,
        interner: &mut Interner,
    ) -> Result<Self, WireError> {
        let key = format!("{}/{}", message.namespace, message.name);
        let object = || format!("authorization {}", shorten(&key));
        let unknown = |field, value, known| {
            Err(WireError::UnknownValue { object: object(), field, value, known })
        };
        let scope = match pb::Scope::try_from(message.scope) {
            Ok(pb::Scope::Global) => Scope::Global,
            Ok(pb::Scope::Namespace) => Scope::Namespace,
            Ok(pb::Scope::WorkloadSelector) => Scope::WorkloadSelector,
            Err(_) => {
                let known = "GLOBAL 0, NAMESPACE 1, WORKLOAD_SELECTOR 2";
                return unknown("scope", message.scope, known);
            }
        };
        let action = match pb::Action::try_from(message.action) {
            Ok(pb::Action::Allow) => Action::Allow,
            Ok(pb::Action::Deny) => Action::Deny,
            Err(_) => return unknown("action", message.action, "ALLOW 0, DENY 1"),
        };
        let mut reader = Reader { action, unreadable: 0, interner };
        let rules = message.rules.into_iter().map(|rule| reader.rule(rule)).collect();
        Ok(Self {
            name: message.name.as_str().into(),
            namespace: reader.interner.text(&message.namespace),
            scope,
            action,
            rules,
            dry_run: message.dry_run,
            unreadable: reader.unreadable,
            key: reader.interner.text(&key),
        })
    }
}

impl Reader<'_> {
    fn rule(&mut self, rule: pb::Rule) -> Rule {
        Rule { clauses: rule.clauses.into_iter().map(|clause| self.clause(clause)).collect() }
    }

    fn clause(&mut self, clause: pb::Clause) -> Clause {
        Clause { matches: clause.matches.into_iter().map(|one| self.one_match(one)).collect() }
    }

    fn one_match(&mut self, m: pb::Match) -> Match {
        let mut strict = Strictness::default();
        let text = |reader: &mut Self, m| reader.text(m);
        let block = |_: &mut Self, a| block(&a);
        let port = |_: &mut Self, port: u32| Some(port as u16);
        let account = |reader: &mut Self, m: pb::ServiceAccountMatch| {
            Some(ServiceAccountMatch {
                namespace: reader.interner.text(&m.namespace),
                service_account: reader.interner.text(&m.service_account),
            })
        };
        let s = &mut strict;
        let namespaces = self.list(m.namespaces, m.not_namespaces, text, s);
        let principals = self.list(m.principals, m.not_principals, text, s);
        let source_ips = self.list(m.source_ips, m.not_source_ips, block, s);
        let destination_ips = self.list(m.destination_ips, m.not_destination_ips, block, s);
        let ports = self.list(m.destination_ports, m.not_destination_ports, port, s);
        let accounts = self.list(m.service_accounts, m.not_service_accounts, account, s);
        Match {
            never: strict.never,
            always: strict.always,
            namespaces,
            principals,
            source_ips,
            destination_ips,
            destination_ports: ports,
            service_accounts: accounts,
        }
    }

    /// Reads a condition and its opposite.
    ///
    /// In an ALLOW, a lost value of `any` matches less by itself unless it was the last one,
    /// and a lost value of `none` would match more: both then never match. In a DENY, a lost
    /// value of `any` would match less, so the whole condition goes; one of `none` matches
    /// more by itself.
    fn list<W, T>(
        &mut self,
        any: Vec<W>,
        none: Vec<W>,
        read: impl Fn(&mut Self, W) -> Option<T>,
        strict: &mut Strictness,
    ) -> List<T> {
        let (mut any, lost_any) = self.values(any, &read);
        let (none, lost_none) = self.values(none, &read);
        match self.action {
            Action::Allow => strict.never |= lost_none || (lost_any && any.is_empty()),
            Action::Deny => {
                strict.always |= lost_none || lost_any;
                if lost_any {
                    any.clear();
                }
            }
        }
        List { any: any.into(), none: none.into() }
    }

    /// The values that can be read, and whether any could not.
    fn values<W, T>(
        &mut self,
        wire: Vec<W>,
        read: &impl Fn(&mut Self, W) -> Option<T>,
    ) -> (Vec<T>, bool) {
        let expected = wire.len();
        let values: Vec<T> = wire.into_iter().filter_map(|value| read(self, value)).collect();
        let lost = expected - values.len();
        self.unreadable = self.unreadable.saturating_add(lost as u32);
        (values, lost > 0)
    }

    fn text(&mut self, m: pb::StringMatch) -> Option<StringMatch> {
        use pb::string_match::MatchType;
        Some(match m.match_type? {
            MatchType::Exact(text) => StringMatch::Exact(self.interner.text(&text)),
            MatchType::Prefix(text) => StringMatch::Prefix(self.interner.text(&text)),
            MatchType::Suffix(text) => StringMatch::Suffix(self.interner.text(&text)),
            MatchType::Presence(()) => StringMatch::Presence,
        })
    }
}

fn block(address: &pb::Address) -> Option<IpNet> {
    address::block(&address.address, Some(address.length)).ok()
}
