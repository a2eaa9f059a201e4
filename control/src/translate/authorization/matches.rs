//! The parts of a rule as clauses.

use std::net::IpAddr;

use hbone::wire::pb::istio::security as pb;
use hbone::wire::pb::istio::security::string_match::MatchType;

use crate::api::security::{Condition, Operation, Source};
use crate::model::object::{ReadRule, ip_block};

/// What became of a rule.
#[derive(Debug, Default)]
pub(super) struct Clauses {
    pub(super) clauses: Vec<pb::Clause>,
    /// Fields that layer 4 cannot express; they are not in `clauses`.
    pub(super) unsupported: Vec<&'static str>,
}

/// A rule as clauses, in the order to, from, then one per condition.
///
/// # Errors
/// A value that means nothing: the field, what was found and what would be right.
pub(super) fn clauses(rule: &ReadRule, namespace: &str) -> Result<Clauses, String> {
    let mut out = Clauses::default();
    let mut to = Vec::new();
    for (i, operation) in rule.to.iter().enumerate() {
        let read = self::operation(operation, &mut out.unsupported);
        to.push(read.map_err(|e| format!("to[{i}].operation.{e}"))?);
    }
    let mut from = Vec::new();
    for (i, source) in rule.from.iter().enumerate() {
        let read = self::source(source, namespace, &mut out.unsupported);
        from.push(read.map_err(|e| format!("from[{i}].source.{e}"))?);
    }
    let mut groups = vec![to, from];
    for (i, condition) in rule.when.iter().enumerate() {
        let read = self::condition(condition, &mut out.unsupported);
        groups.push(read.map_err(|e| format!("when[{i}].{e}"))?.into_iter().collect());
    }
    // A match that lost all its fields matches everything, and so does its clause. On the wire
    // an empty match would match nothing, so the clause has to go.
    let whole = |group: &Vec<pb::Match>| {
        !group.is_empty() && group.iter().all(|m| *m != pb::Match::default())
    };
    out.clauses = groups.into_iter().filter(whole).map(|matches| pb::Clause { matches }).collect();
    out.unsupported.sort_unstable();
    out.unsupported.dedup();
    Ok(out)
}

fn operation(
    operation: &Operation,
    unsupported: &mut Vec<&'static str>,
) -> Result<pb::Match, String> {
    note(
        unsupported,
        [
            ("hosts", &operation.hosts),
            ("notHosts", &operation.not_hosts),
            ("methods", &operation.methods),
            ("notMethods", &operation.not_methods),
            ("paths", &operation.paths),
            ("notPaths", &operation.not_paths),
        ],
    );
    Ok(pb::Match {
        destination_ports: ports("ports", &operation.ports)?,
        not_destination_ports: ports("notPorts", &operation.not_ports)?,
        ..pb::Match::default()
    })
}

fn source(
    source: &Source,
    namespace: &str,
    unsupported: &mut Vec<&'static str>,
) -> Result<pb::Match, String> {
    note(
        unsupported,
        [
            ("requestPrincipals", &source.request_principals),
            ("notRequestPrincipals", &source.not_request_principals),
            ("remoteIpBlocks", &source.remote_ip_blocks),
            ("notRemoteIpBlocks", &source.not_remote_ip_blocks),
            ("trustDomains", &source.trust_domains),
            ("notTrustDomains", &source.not_trust_domains),
        ],
    );
    let accounts = |field, list: &[String]| accounts(field, list, namespace);
    Ok(pb::Match {
        principals: strings("principals", &source.principals)?,
        not_principals: strings("notPrincipals", &source.not_principals)?,
        namespaces: strings("namespaces", &source.namespaces)?,
        not_namespaces: strings("notNamespaces", &source.not_namespaces)?,
        source_ips: blocks("ipBlocks", &source.ip_blocks)?,
        not_source_ips: blocks("notIpBlocks", &source.not_ip_blocks)?,
        service_accounts: accounts("serviceAccounts", &source.service_accounts)?,
        not_service_accounts: accounts("notServiceAccounts", &source.not_service_accounts)?,
        ..pb::Match::default()
    })
}

/// A condition; `None` if it is one of layer 7.
fn condition(
    condition: &Condition,
    unsupported: &mut Vec<&'static str>,
) -> Result<Option<pb::Match>, String> {
    let (yes, no) = (&condition.values, &condition.not_values);
    if yes.is_empty() && no.is_empty() {
        return Err("values is empty; write at least one value or notValue".to_owned());
    }
    let mut m = pb::Match::default();
    match condition.key.as_str() {
        "source.ip" => {
            m.source_ips = blocks("values", yes)?;
            m.not_source_ips = blocks("notValues", no)?;
        }
        "source.namespace" => {
            m.namespaces = strings("values", yes)?;
            m.not_namespaces = strings("notValues", no)?;
        }
        "source.principal" => {
            m.principals = strings("values", yes)?;
            m.not_principals = strings("notValues", no)?;
        }
        "destination.ip" => {
            m.destination_ips = blocks("values", yes)?;
            m.not_destination_ips = blocks("notValues", no)?;
        }
        "destination.port" => {
            m.destination_ports = ports("values", yes)?;
            m.not_destination_ports = ports("notValues", no)?;
        }
        _ => {
            unsupported.push("when");
            return Ok(None);
        }
    }
    Ok(Some(m))
}

fn note<const N: usize>(
    unsupported: &mut Vec<&'static str>,
    fields: [(&'static str, &Vec<String>); N],
) {
    unsupported.extend(fields.iter().filter(|(_, v)| !v.is_empty()).map(|(name, _)| name));
}

/// `*` is presence, `*x` a suffix, `x*` a prefix; a `*` elsewhere is a character like any other.
fn strings(field: &str, values: &[String]) -> Result<Vec<pb::StringMatch>, String> {
    let one = |value: &String| {
        let match_type = match (value.as_str(), value.strip_prefix('*'), value.strip_suffix('*')) {
            ("", _, _) => return Err(format!("{field} has an empty value; write a name or '*'")),
            ("*", _, _) => MatchType::Presence(()),
            (_, Some(rest), _) => MatchType::Suffix(rest.to_owned()),
            (_, None, Some(rest)) => MatchType::Prefix(rest.to_owned()),
            (exact, None, None) => MatchType::Exact(exact.to_owned()),
        };
        Ok(pb::StringMatch { match_type: Some(match_type) })
    };
    values.iter().map(one).collect()
}

fn blocks(field: &str, values: &[String]) -> Result<Vec<pb::Address>, String> {
    let one = |value: &String| {
        let block = ip_block(value).ok_or_else(|| {
            format!("{field} has {value:?}; write an IP or a block such as 10.0.0.0/8")
        })?;
        let address = match block.addr() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        Ok(pb::Address { address, length: u32::from(block.prefix_len()) })
    };
    values.iter().map(one).collect()
}

fn ports(field: &str, values: &[String]) -> Result<Vec<u32>, String> {
    let one = |value: &String| {
        let port = value.parse::<u16>();
        port.map(u32::from).map_err(|_| format!("{field} has {value:?}; write 0 to 65535"))
    };
    values.iter().map(one).collect()
}

/// `namespace/account`, or `account` in the policy's own namespace.
fn accounts(
    field: &str,
    values: &[String],
    namespace: &str,
) -> Result<Vec<pb::ServiceAccountMatch>, String> {
    let one = |value: &String| {
        let (namespace, account) = value.split_once('/').unwrap_or((namespace, value));
        if namespace.is_empty() || account.is_empty() || account.contains('/') {
            return Err(format!("{field} has {value:?}; write namespace/account or account"));
        }
        Ok(pb::ServiceAccountMatch {
            namespace: namespace.to_owned(),
            service_account: account.to_owned(),
        })
    };
    values.iter().map(one).collect()
}
