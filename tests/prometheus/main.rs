//! Dashboards and alert rules of `manifests/`, in a real Prometheus that scrapes a running mesh:
//! every query has data, and every alert fires when its fault is there and not before.

mod callers;
#[expect(clippy::unused_async, reason = "a fault is a future, also where it waits for nothing")]
mod faults;
mod history;
mod lab;
mod other;
mod server;
mod shipped;
mod watch;

use std::time::Duration;

use faults as cause;
use lab::Lab;
use other::OtherControl;
use server::Prometheus;
use testbed::Testbed;
use watch::Watch;

/// Queries that have no data while nothing is wrong or special: dashboard, panel, legend.
const NEED_A_FAULT: &[(&str, &str, &str)] = &[
    ("control", "Ends of streams", "{{job}} {{reason}}"),
    ("control", "Fetches", "{{host}} {{result}}"),
    ("control", "Proxies that do not hear", "proxies"),
    ("mesh", "Failures by flag", "{{response_flags}}"),
    ("mesh", "Refusals", "refusals"),
    ("mesh", "Refusals by policy", "{{policy}}"),
    ("node", "Failures by flag", "{{node}} {{response_flags}}"),
    ("node", "Limits reached", "{{node}} {{limit}}"),
    (
        "waypoint",
        "Failures by flag",
        "{{destination_service_namespace}}/{{destination_service_name}} {{response_flags}}",
    ),
    ("waypoint", "Limits reached", "{{gateway}} {{limit}}"),
    ("waypoint", "Tokens", "{{policy}} {{result}}"),
    ("workload", "Failures by flag", "{{source_workload}} {{response_flags}}"),
    ("workload", "Failures by flag", "{{destination_service_name}} {{response_flags}}"),
    ("workload", "Identities", "failed or refused"),
];
/// From the first scrape until rates have data.
const WARM: Duration = Duration::from_secs(40);

testbed::scenario! {
    #[ignore = "needs Prometheus, and minutes"]
    within 320;
    async fn every_query_has_data_and_every_alert_its_fault(bed: Testbed) -> anyhow::Result<()> {
        let lab = Lab::open(&bed).await?;
        let prometheus = Prometheus::start(&bed, &lab.targets()).await?;
        let queries = shipped::queries()?;
        let asked = |query: &shipped::Query| {
            let key = (query.dashboard.as_str(), query.panel.as_str(), query.legend.as_str());
            NEED_A_FAULT.contains(&key)
        };
        let (special, usual): (Vec<_>, Vec<_>) = queries.iter().partition(|query| asked(query));
        for (dashboard, panel, legend) in NEED_A_FAULT {
            let there = special.iter().any(|query| {
                query.dashboard == *dashboard && query.panel == *panel && query.legend == *legend
            });
            assert!(there, "{dashboard}, {panel}, {legend}: no such query");
        }
        prometheus.answers(&usual, WARM).await?;
        prometheus.answers(&shipped::variables()?.iter().collect::<Vec<_>>(), WARM).await?;

        let mut watch = Watch::calm(&prometheus).await?;
        watch.fires(&["AmbitOlderConnections"], cause::older_connection(&lab)).await?;
        watch.fires(&["AmbitRulesRestored"], cause::flushed_rules(&lab)).await?;
        watch.fires(&["AmbitKeySetsMissing", "AmbitTokensRefused"], cause::no_keys(&lab)).await?;
        watch.fires(&["AmbitNamesNotResolved", "AmbitConnectionsFail"], cause::no_name(&lab)).await?;
        watch.fires(&["AmbitRefusalsSurge"], cause::refusals(&lab)).await?;
        watch.fires(
            &["AmbitTunnelPoolFull", "AmbitLimitReached", "AmbitDescriptorsRunOut"],
            cause::crowd(&lab),
        ).await?;
        watch.fires(&["AmbitWaypointLimitReached"], cause::stalled_handshakes(&lab)).await?;
        watch.fires(&["AmbitAuthorizerFails"], cause::dead_authorizer(&lab)).await?;
        watch.fires(&["AmbitWaypointErrors"], cause::no_backend(&lab)).await?;
        watch.fires(
            &["AmbitNoCertificate", "AmbitCertificatesRefused", "AmbitDiscoveryRefused"],
            cause::lost_credential(&lab),
        ).await?;
        watch.fires(&["AmbitResponsesRejected"], cause::rejecting_client(&lab)).await?;
        watch.fires(&["AmbitSubscriberCut"], cause::silent_client(&lab)).await?;
        let other = OtherControl::start(&bed)?;
        watch.fires(
            &["AmbitRootExpires", "AmbitLogLinesDropped", "AmbitObjectsNotAsWritten"],
            other.talks(),
        ).await?;
        watch.fires(
            &["AmbitZtunnelDown", "AmbitPodsPending", "AmbitPodsHeld"],
            cause::no_ztunnel(&lab),
        ).await?;
        watch.fires(&["AmbitNodeAgentDown"], cause::no_agent(&lab)).await?;
        watch.fires(&["AmbitWaypointDown"], cause::no_waypoint(&lab)).await?;
        drop(other);
        watch.fires(
            &["AmbitControlDown", "AmbitProxyDisconnected", "AmbitCertificateEnds"],
            cause::no_control(&lab),
        ).await?;
        watch.fires(&["AmbitProxyWithoutState"], cause::new_ztunnel(&lab)).await?;

        watch.has_fired(&shipped::alerts()?);
        prometheus.answered(&special).await
    }
}
