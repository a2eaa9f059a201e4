//! The local form of policies: JSON of `/config_dump` and the file of `LOCAL_XDS_PATH`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer};

use super::{Action, Authorization, Match, Scope};
use crate::matching::{ServiceAccountMatch, StringMatch};
use crate::wire::pb::istio::security as pb;

/// A policy in local form: rules of clauses of matches.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)] // The fields are those of `Authorization`.
pub struct LocalAuthorization {
    pub name: String,
    pub namespace: String,
    pub scope: Scope,
    pub action: Action,
    pub rules: Vec<Vec<Vec<LocalMatch>>>,
    pub dry_run: bool,
}

/// A match in local form.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)] // The fields are those of `Match`.
pub struct LocalMatch {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<LocalString>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_namespaces: Vec<LocalString>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<LocalString>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_principals: Vec<LocalString>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<IpNet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_source_ips: Vec<IpNet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_ips: Vec<IpNet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_destination_ips: Vec<IpNet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_ports: Vec<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_destination_ports: Vec<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<LocalAccount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_service_accounts: Vec<LocalAccount>,
}

/// A text comparison in local form, such as `exact: x` or `presence: {}`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)] // Exactly one is set.
pub struct LocalString {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<Nothing>,
}

/// An empty object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A service account in local form.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs)]
pub struct LocalAccount {
    pub namespace: String,
    pub service_account: String,
}

impl From<&Authorization> for LocalAuthorization {
    fn from(policy: &Authorization) -> Self {
        let rules = policy.rules.iter().map(|rule| {
            let clauses = rule.clauses.iter();
            clauses.map(|clause| clause.matches.iter().map(Into::into).collect()).collect()
        });
        Self {
            name: policy.name.to_string(),
            namespace: policy.namespace.to_string(),
            scope: policy.scope,
            action: policy.action,
            rules: rules.collect(),
            dry_run: policy.dry_run,
        }
    }
}

impl From<&Match> for LocalMatch {
    fn from(m: &Match) -> Self {
        let texts = |all: &[StringMatch]| all.iter().map(Into::into).collect();
        let accounts = |all: &[ServiceAccountMatch]| all.iter().map(Into::into).collect();
        Self {
            namespaces: texts(&m.namespaces.any),
            not_namespaces: texts(&m.namespaces.none),
            principals: texts(&m.principals.any),
            not_principals: texts(&m.principals.none),
            source_ips: m.source_ips.any.to_vec(),
            not_source_ips: m.source_ips.none.to_vec(),
            destination_ips: m.destination_ips.any.to_vec(),
            not_destination_ips: m.destination_ips.none.to_vec(),
            destination_ports: m.destination_ports.any.to_vec(),
            not_destination_ports: m.destination_ports.none.to_vec(),
            service_accounts: accounts(&m.service_accounts.any),
            not_service_accounts: accounts(&m.service_accounts.none),
        }
    }
}

impl From<&StringMatch> for LocalString {
    fn from(m: &StringMatch) -> Self {
        let text = |text: &std::sync::Arc<str>| Some(text.to_string());
        match m {
            StringMatch::Exact(exact) => Self { exact: text(exact), ..Self::default() },
            StringMatch::Prefix(prefix) => Self { prefix: text(prefix), ..Self::default() },
            StringMatch::Suffix(suffix) => Self { suffix: text(suffix), ..Self::default() },
            StringMatch::Presence => Self { presence: Some(Nothing {}), ..Self::default() },
        }
    }
}

impl From<&ServiceAccountMatch> for LocalAccount {
    fn from(m: &ServiceAccountMatch) -> Self {
        Self { namespace: m.namespace.to_string(), service_account: m.service_account.to_string() }
    }
}

impl Serialize for Authorization {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LocalAuthorization::from(self).serialize(serializer)
    }
}

impl From<LocalAuthorization> for pb::Authorization {
    fn from(policy: LocalAuthorization) -> Self {
        let clause = |matches: Vec<LocalMatch>| pb::Clause {
            matches: matches.into_iter().map(Into::into).collect(),
        };
        let rule = |clauses: Vec<Vec<LocalMatch>>| pb::Rule {
            clauses: clauses.into_iter().map(clause).collect(),
        };
        Self {
            name: policy.name,
            namespace: policy.namespace,
            scope: policy.scope as i32,
            action: policy.action as i32,
            rules: policy.rules.into_iter().map(rule).collect(),
            dry_run: policy.dry_run,
            extensions: Vec::new(),
        }
    }
}

impl From<LocalMatch> for pb::Match {
    fn from(m: LocalMatch) -> Self {
        let texts = |all: Vec<LocalString>| all.into_iter().map(Into::into).collect();
        let blocks = |all: Vec<IpNet>| all.iter().map(wire_block).collect();
        let ports = |all: Vec<u16>| all.into_iter().map(Into::into).collect();
        let accounts = |all: Vec<LocalAccount>| all.into_iter().map(Into::into).collect();
        Self {
            namespaces: texts(m.namespaces),
            not_namespaces: texts(m.not_namespaces),
            principals: texts(m.principals),
            not_principals: texts(m.not_principals),
            source_ips: blocks(m.source_ips),
            not_source_ips: blocks(m.not_source_ips),
            destination_ips: blocks(m.destination_ips),
            not_destination_ips: blocks(m.not_destination_ips),
            destination_ports: ports(m.destination_ports),
            not_destination_ports: ports(m.not_destination_ports),
            service_accounts: accounts(m.service_accounts),
            not_service_accounts: accounts(m.not_service_accounts),
            extensions: Vec::new(),
        }
    }
}

impl From<LocalString> for pb::StringMatch {
    /// A text with no or several comparisons becomes one with none, which cannot be read and
    /// makes its policy stricter.
    fn from(m: LocalString) -> Self {
        use pb::string_match::MatchType;
        let match_type = match (m.exact, m.prefix, m.suffix, m.presence) {
            (Some(text), None, None, None) => Some(MatchType::Exact(text)),
            (None, Some(text), None, None) => Some(MatchType::Prefix(text)),
            (None, None, Some(text), None) => Some(MatchType::Suffix(text)),
            (None, None, None, Some(Nothing {})) => Some(MatchType::Presence(())),
            _ => None,
        };
        Self { match_type }
    }
}

impl From<LocalAccount> for pb::ServiceAccountMatch {
    fn from(m: LocalAccount) -> Self {
        Self { namespace: m.namespace, service_account: m.service_account }
    }
}

fn wire_block(block: &IpNet) -> pb::Address {
    let address = match block.addr() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    pb::Address { address, length: block.prefix_len().into() }
}
