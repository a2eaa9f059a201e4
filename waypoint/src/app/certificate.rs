//! The waypoint's own certificate, renewed while it runs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hbone::ca::CaClient;
use hbone::identity::SpiffeId;
use hbone::tls::WorkloadCertificate;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Keeps a certificate for `id` in `current`: a new one at half of its life, and until then
/// the old one. Returns when `quit` is cancelled.
pub(super) async fn keep(
    client: CaClient,
    id: SpiffeId,
    ttl: Duration,
    current: watch::Sender<Option<Arc<WorkloadCertificate>>>,
    quit: CancellationToken,
) {
    tokio::select! {
        () = quit.cancelled() => {}
        () = renew(client, id, ttl, &current) => {}
    }
}

async fn renew(
    client: CaClient,
    id: SpiffeId,
    ttl: Duration,
    current: &watch::Sender<Option<Arc<WorkloadCertificate>>>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        match client.fetch(&id, false, ttl).await {
            Ok(certificate) => {
                let left =
                    certificate.refresh_at().duration_since(SystemTime::now()).unwrap_or_default();
                info!(identity = %id, renew_in = ?left, "certificate issued");
                current.send_replace(Some(Arc::new(certificate)));
                pause = FIRST_PAUSE;
                tokio::time::sleep(left.max(FIRST_PAUSE)).await;
            }
            Err(error) => {
                let held = current.borrow().as_ref().map(|c| c.not_after());
                let left = held.and_then(|end| end.duration_since(SystemTime::now()).ok());
                warn!(identity = %id, error = chain(&error), ?left, ?pause, "no certificate");
                let jitter = 0.8 + 0.4 * rand::random::<f64>();
                tokio::time::sleep(pause.mul_f64(jitter)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
