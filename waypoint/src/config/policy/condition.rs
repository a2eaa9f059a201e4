//! Further attributes: the `when` of a rule.

use hbone::matching::{ServiceAccountMatch, StringMatch, block_contains};
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::HeaderName;
use ipnet::IpNet;

use super::source::{Lists, is_principal, request_principal, service_account, trust_domain};
use super::text::{ip_block, port, wildcard};
use super::{PolicyInput, Truth};
use crate::token::{Bearer, Compared};

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
    RequestPrincipal(Lists<StringMatch>),
    TokenAudience(Lists<StringMatch>),
    TokenPresenter(Lists<StringMatch>),
    /// The claim's name, the outermost first.
    TokenClaim(Vec<String>, Lists<StringMatch>),
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
            "request.auth.principal" => Self::RequestPrincipal(texts()?),
            "request.auth.audiences" => Self::TokenAudience(texts()?),
            "request.auth.presenter" => Self::TokenPresenter(texts()?),
            key if key.starts_with(CLAIMS) => Self::TokenClaim(claim_key(key)?, texts()?),
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
            Self::RequestPrincipal(lists) => request_principal(lists, input),
            Self::TokenAudience(lists) => {
                of_token(lists, input, |bearer| bearer.audiences().iter().map(text).collect())
            }
            Self::TokenPresenter(lists) => {
                of_token(lists, input, |bearer| bearer.presenter().map(text).into_iter().collect())
            }
            Self::TokenClaim(path, lists) => of_token(lists, input, |bearer| bearer.values(path)),
        }
    }

    /// Whether it compares what tokens say.
    pub(super) fn names_token(&self) -> bool {
        match self {
            Self::RequestPrincipal(_)
            | Self::TokenAudience(_)
            | Self::TokenPresenter(_)
            | Self::TokenClaim(..) => true,
            Self::Header(..)
            | Self::SourceIp(_)
            | Self::SourceNamespace(_)
            | Self::SourcePrincipal(_)
            | Self::SourceAccount(_)
            | Self::SourceTrustDomain(_)
            | Self::DestinationIp(_)
            | Self::DestinationPort(_) => false,
        }
    }
}

const CLAIMS: &str = "request.auth.claims";

/// `request.auth.claims[outer][inner]`.
fn claim_key(key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("when {key:?} is no claim; write {CLAIMS}[name]");
    let mut rest = key.strip_prefix(CLAIMS).ok_or_else(wrong)?;
    let mut path = Vec::new();
    while !rest.is_empty() {
        let (name, more) =
            rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
        if name.is_empty() || name.contains('[') {
            return Err(wrong());
        }
        path.push(name.to_owned());
        rest = more;
    }
    if path.is_empty() { Err(wrong()) } else { Ok(path) }
}

fn text<T: AsRef<str> + ?Sized>(text: &T) -> Compared<'_> {
    Compared::Text(text.as_ref().into())
}

/// A value that a list has matches as it would alone. What has no text is open. Without a
/// token, as without the claim, nothing matches.
fn of_token<'a>(
    lists: &Lists<StringMatch>,
    input: &PolicyInput<'a>,
    values: impl Fn(&'a Bearer) -> Vec<Compared<'a>>,
) -> Truth {
    if input.request.is_none() {
        return Truth::Unknown;
    }
    let values = input.bearer.map(values).unwrap_or_default();
    lists.judge(|want| {
        Truth::any(values.iter().map(|value| match value {
            Compared::Text(text) => Truth::from(want.matches(Some(text))),
            Compared::Other => Truth::Unknown,
        }))
    })
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
