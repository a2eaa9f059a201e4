//! Who calls: the `from` of a rule.

use hbone::identity::SpiffeId;
use hbone::matching::{Caller, ServiceAccountMatch, StringMatch, block_contains};
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use ipnet::IpNet;

use super::text::{each, ip_block, wildcard};
use super::{PolicyInput, Truth};
use crate::token::Bearer;

/// A list of values that must match, and one of values none of which may.
#[derive(Debug)]
pub(super) struct Lists<T> {
    any: Vec<T>,
    none: Vec<T>,
}

impl<T> Lists<T> {
    pub(super) fn read(
        any: &[String],
        none: &[String],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Self, String> {
        Ok(Self { any: each(any, &read)?, none: each(none, &read)? })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.any.is_empty() && self.none.is_empty()
    }

    /// An empty list is no condition.
    pub(super) fn holds(&self, matches: impl Fn(&T) -> bool) -> Truth {
        let any = self.any.is_empty() || self.any.iter().any(&matches);
        Truth::from(any && !self.none.iter().any(&matches))
    }

    /// The same of a comparison that may be undecided.
    pub(super) fn judge(&self, matches: impl Fn(&T) -> Truth) -> Truth {
        let any = if self.any.is_empty() {
            Truth::Yes
        } else {
            Truth::any(self.any.iter().map(&matches))
        };
        Truth::all([any, Truth::any(self.none.iter().map(&matches)).negate()])
    }
}

#[derive(Debug)]
pub(super) struct SourceMatch {
    principals: Lists<StringMatch>,
    namespaces: Lists<StringMatch>,
    ip_blocks: Lists<IpNet>,
    service_accounts: Lists<ServiceAccountMatch>,
    trust_domains: Lists<StringMatch>,
    request_principals: Lists<StringMatch>,
}

impl SourceMatch {
    pub(super) fn read(wire: &pb::Source) -> Result<Self, String> {
        let text = |text: &str| Ok(wildcard(text));
        let source = Self {
            principals: Lists::read(&wire.principals, &wire.not_principals, text)?,
            namespaces: Lists::read(&wire.namespaces, &wire.not_namespaces, text)?,
            ip_blocks: Lists::read(&wire.ip_blocks, &wire.not_ip_blocks, ip_block)?,
            service_accounts: Lists::read(
                &wire.service_accounts,
                &wire.not_service_accounts,
                service_account,
            )?,
            trust_domains: Lists::read(&wire.trust_domains, &wire.not_trust_domains, text)?,
            request_principals: Lists::read(
                &wire.request_principals,
                &wire.not_request_principals,
                text,
            )?,
        };
        if source.is_empty() { Err("from.source names nothing".into()) } else { Ok(source) }
    }

    fn is_empty(&self) -> bool {
        self.principals.is_empty()
            && self.namespaces.is_empty()
            && self.ip_blocks.is_empty()
            && self.service_accounts.is_empty()
            && self.trust_domains.is_empty()
            && self.request_principals.is_empty()
    }

    /// Whether it compares what tokens say.
    pub(super) fn names_token(&self) -> bool {
        !self.request_principals.is_empty()
    }

    pub(super) fn evaluate(&self, input: &PolicyInput<'_>) -> Truth {
        let caller = input.caller;
        Truth::all([
            self.principals.holds(|want| is_principal(want, input)),
            self.namespaces.holds(|want| want.matches(Some(caller.namespace()))),
            self.ip_blocks.holds(|block| block_contains(block, input.source)),
            self.service_accounts.holds(|want| want.matches(caller)),
            self.trust_domains.holds(|want| want.matches(trust_domain(caller))),
            request_principal(&self.request_principals, input),
        ])
    }
}

/// `iss/sub` of the token. A connection that carries no HTTP carries none that we could see.
pub(super) fn request_principal(lists: &Lists<StringMatch>, input: &PolicyInput<'_>) -> Truth {
    if lists.is_empty() {
        return Truth::Yes;
    }
    if input.request.is_none() {
        return Truth::Unknown;
    }
    lists.holds(|want| want.matches(input.bearer.and_then(Bearer::principal)))
}

/// Whether the caller is that principal, under any name of the mesh's trust domain: an alias
/// means whom the trust domain itself means (docs/wire.md, "Layer 7 policies").
pub(super) fn is_principal(want: &StringMatch, input: &PolicyInput<'_>) -> bool {
    if want.matches(input.caller.principal()) {
        return true;
    }
    let Some(identity) = input.caller.identity() else { return false };
    let own = identity.trust_domain();
    let others = || input.trust_domains.iter().filter(|domain| *domain != own);
    let one_of_ours = input.trust_domains.contains(own);
    one_of_ours
        && others().any(|domain| {
            let (namespace, account) = (identity.namespace(), identity.service_account());
            want.matches(Some(&format!("{}/ns/{namespace}/sa/{account}", domain.as_str())))
        })
}

pub(super) fn trust_domain(caller: &Caller) -> Option<&str> {
    caller.identity().map(|id: &SpiffeId| id.trust_domain().as_str())
}

/// `namespace/account`.
pub(super) fn service_account(text: &str) -> Result<ServiceAccountMatch, String> {
    let parts = text.split_once('/').filter(|(ns, sa)| !ns.is_empty() && !sa.is_empty());
    let (namespace, account) =
        parts.ok_or_else(|| format!("{text:?} is not namespace/service-account"))?;
    if text.contains('*') || account.contains('/') {
        return Err(format!("{text:?} is not namespace/service-account; it has no wildcards"));
    }
    Ok(ServiceAccountMatch { namespace: namespace.into(), service_account: account.into() })
}
