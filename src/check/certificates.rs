//! Certificates that are over, or late in their life, or not to be had.

use time::OffsetDateTime;

use super::finding::{Finding, Severity};
use crate::mesh::dump::Certificate;
use crate::mesh::{self, Kind, Member};
use crate::proxy::{Life, life};
use crate::terminal::units;

/// What is wrong with the certificates of all proxies.
pub(super) async fn of(members: &[Member]) -> Vec<Finding> {
    let proxies = members.iter().filter(|member| member.kind != Kind::Control).cloned();
    let answers = mesh::ask_all(proxies.collect(), async |one| one.dump().await).await;
    let now = OffsetDateTime::now_utc();
    let mut findings = Vec::new();
    for (member, dump) in answers {
        // One that does not answer is told of elsewhere.
        let Ok(dump) = dump else { continue };
        for one in &dump.certificates {
            findings.extend(find(&member, one, now));
        }
    }
    findings
}

fn find(member: &Member, one: &Certificate, now: OffsetDateTime) -> Vec<Finding> {
    let namespace = one.identity.split("/ns/").nth(1).and_then(|rest| rest.split('/').next());
    let finding = |severity, id, problem: String, fix: &str| {
        let object = format!("certificate of {} in {}", one.identity, member.title());
        let found = Finding::new(severity, id, object, problem, fix).on(&member.node);
        found.within(namespace.unwrap_or_default())
    };
    let mut findings = Vec::new();
    if let Some(why) = one.state.strip_prefix("Unavailable: ") {
        let problem = format!("there is none: {why}");
        let fix =
            "see whether control runs and lets this node act for the pod: its log says why not";
        findings.push(finding(Severity::Error, "certificate-unavailable", problem, fix));
    }
    let items = one.cert_chain.iter().take(1).map(|item| ("it", item));
    let roots = one.root_certs.iter().map(|item| ("a root that it brings", item));
    for (what, item) in items.chain(roots) {
        match life(item, now) {
            Life::Expired(since) => findings.push(finding(
                Severity::Error,
                "certificate-expired",
                format!("{what} expired {} ago", units::span(since)),
                "see whether control runs and is reached, and whether the clocks agree",
            )),
            Life::Overdue(left) => findings.push(finding(
                Severity::Warning,
                "certificate-expiring",
                format!(
                    "{what} ends in {} and was not renewed at half of its life",
                    units::span(left)
                ),
                "see whether control runs and is reached: it issues the next one",
            )),
            Life::Valid(_) | Life::Unknown => {}
        }
    }
    findings
}
