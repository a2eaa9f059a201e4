//! Conditions to the state directory.

use std::time::Duration;

use tracing::warn;

use super::Board;
use crate::state::StateDir;

const FILE: &str = "status.json";

/// Changes that come together are written once.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes `status.json` whenever something changed, until cancelled.
pub async fn write(board: Board, state: StateDir) {
    let mut changes = board.subscribe();
    changes.mark_changed();
    while changes.changed().await.is_ok() {
        let (board, state) = (board.clone(), state.clone());
        let written = tokio::task::spawn_blocking(move || {
            let bytes = serde_json::to_vec_pretty(&board.report()).unwrap_or_default();
            state.write(FILE, &bytes, 0o644)
        });
        if let Ok(Err(error)) = written.await {
            warn!(%error, cause = %error.source, "status not written");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
