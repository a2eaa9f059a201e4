//! The pages: administration, metrics, readiness.

use std::sync::Arc;

use anyhow::Context;
use hbone::serve::{AdminPages, MetricsPage, Pages, Readiness, ReadinessPage, Server};
use hbone::telemetry::Logging;
use observe::http::Api;
use observe::site::Website;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::{Served, dump};

/// Binds all three and serves them until the process ends: they answer during a drain too.
pub(super) async fn start(
    served: &Served,
    readiness: Readiness,
    registry: Registry,
    logging: &Logging,
    quit: &CancellationToken,
) -> anyhow::Result<()> {
    let (dumped, drained) = (served.clone(), Arc::clone(&served.pods));
    let config = &served.shared.config;
    let deadline = config.drain_deadline;
    let admin = AdminPages::new("ztunnel", quit.clone())
        .logging(logging.clone())
        .dump(move || dump::config_dump(&dumped))
        .more(Arc::new(Website::new(Api::new(
            Arc::new(served.shared.metrics.recorder().clone()),
            env!("CARGO_PKG_VERSION"),
            &config.place.cluster,
        ))))
        .drained(move || {
            let pods = Arc::clone(&drained);
            async move { pods.drain(deadline).await }
        });
    let metrics = MetricsPage(Arc::new(registry));
    let pages: [(&str, _, Arc<dyn Pages>); 3] = [
        ("ADMIN_ADDR", config.admin, Arc::new(admin)),
        ("STATS_ADDR", config.stats, Arc::new(metrics)),
        ("READINESS_ADDR", config.readiness, Arc::new(ReadinessPage(readiness))),
    ];
    for (variable, address, pages) in pages {
        let server = Server::bind(address, pages)
            .await
            .with_context(|| format!("cannot listen on {address} ({variable})"))?;
        tokio::spawn(server.run(CancellationToken::new()));
    }
    Ok(())
}
