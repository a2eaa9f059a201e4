//! Further attributes: the `when` of a rule.

use hbone::matching::{ServiceAccountMatch, StringMatch, block_contains};
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::HeaderName;
use ipnet::IpNet;

use super::source::{Lists, is_principal, service_account, trust_domain};
use super::text::{ip_block, port, wildcard};
use super::{PolicyInput, Truth};

#[derive(Debug)]
pub(super) enum ConditionMatch {
    Header(HeaderName, Lists<StringMatch>),
    SourceIp(Lists<IpNet>),
    SourceNamespace(Lists<StringMatch>),
    SourcePrincipal(Lists<StringMatch>),
    SourceAccount(Lists<ServiceAccountMatch>),
    SourceTrustDomain(Lists<StringMatch>),
    DestinationIp(Lists<IpNet>),
    DestinationPort(Lists<u16>),
}

impl ConditionMatch {
    pub(super) fn read(wire: &pb::Condition) -> Result<Self, String> {
        if wire.values.is_empty() && wire.not_values.is_empty() {
            return Err(format!("when {:?} has no values", wire.key));
        }
        let text = |text: &str| Ok(wildcard(text));
        let texts = || Lists::read(&wire.values, &wire.not_values, text);
        let blocks = || Lists::read(&wire.values, &wire.not_values, ip_block);
        Ok(match wire.key.as_str() {
            // The waypoint knows one address of the caller, so both keys mean it.
            "source.ip" | "remote.ip" => Self::SourceIp(blocks()?),
            "source.namespace" => Self::SourceNamespace(texts()?),
            "source.principal" => Self::SourcePrincipal(texts()?),
            "source.serviceAccount" => {
                Self::SourceAccount(Lists::read(&wire.values, &wire.not_values, service_account)?)
            }
            "source.trustDomain" => Self::SourceTrustDomain(texts()?),
            "destination.ip" => Self::DestinationIp(blocks()?),
            "destination.port" => {
                Self::DestinationPort(Lists::read(&wire.values, &wire.not_values, port)?)
            }
            key => Self::Header(header_key(key)?, texts()?),
        })
    }

    pub(super) fn evaluate(&self, input: &PolicyInput<'_>) -> Truth {
        let caller = input.caller;
        match self {
            Self::Header(name, lists) => header(name, lists, input),
            Self::SourceIp(lists) => lists.holds(|block| block_contains(block, input.source)),
            Self::SourceNamespace(lists) => {
                lists.holds(|want| want.matches(Some(caller.namespace())))
            }
            Self::SourcePrincipal(lists) => lists.holds(|want| is_principal(want, input)),
            Self::SourceAccount(lists) => lists.holds(|want| want.matches(caller)),
            Self::SourceTrustDomain(lists) => {
                lists.holds(|want| want.matches(trust_domain(caller)))
            }
            Self::DestinationIp(lists) => {
                lists.holds(|block| block_contains(block, input.destination.ip()))
            }
            Self::DestinationPort(lists) => lists.holds(|want| *want == input.destination.port()),
        }
    }
}

/// `request.headers[name]`.
fn header_key(key: &str) -> Result<HeaderName, String> {
    let name = key.strip_prefix("request.headers[").and_then(|rest| rest.strip_suffix(']'));
    let name = name.and_then(|name| HeaderName::try_from(name).ok());
    name.ok_or_else(|| format!("when {key:?} is not known to this waypoint"))
}

/// Judges each value of a repeated header. Where they disagree, or one is not text, the
/// outcome is open, so neither order nor repetition turns a policy.
fn header(name: &HeaderName, lists: &Lists<StringMatch>, input: &PolicyInput<'_>) -> Truth {
    let Some(request) = &input.request else { return Truth::Unknown };
    let values: Vec<_> = request.headers.get_all(name).iter().map(|value| value.to_str()).collect();
    if values.is_empty() {
        return lists.judge(|_| Truth::No);
    }
    lists.judge(|want| {
        let outcomes = || {
            values.iter().map(|value| match value {
                Ok(text) => Truth::from(want.matches(Some(text))),
                Err(_) => Truth::Unknown,
            })
        };
        match (Truth::all(outcomes()), Truth::any(outcomes())) {
            (Truth::Yes, _) => Truth::Yes,
            (_, Truth::No) => Truth::No,
            (Truth::No | Truth::Unknown, Truth::Yes | Truth::Unknown) => Truth::Unknown,
        }
    })
}
