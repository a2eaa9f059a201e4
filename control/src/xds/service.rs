//! The discovery service.

use std::sync::Arc;
use std::time::Duration;

use hbone::wire::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use hbone::wire::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tracing::warn;

use super::metrics::XdsMetrics;
use super::stream::Stream;
use super::types;
use crate::auth::Authenticator;
use crate::engine::Tables;
use crate::limits;
use crate::status::Board;

/// How long a stream may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A stream ends at this age.
    pub max_age: Duration,
    /// A response has to be acknowledged within this time.
    pub acknowledgement: Duration,
}

/// The service.
#[derive(Debug)]
pub struct XdsService {
    tables: Tables,
    board: Board,
    authenticator: Arc<dyn Authenticator>,
    metrics: XdsMetrics,
    patience: Patience,
    streams: Arc<Semaphore>,
}

impl XdsService {
    /// The service over `tables`; streams end as `patience` says.
    pub fn new(
        tables: Tables,
        board: Board,
        authenticator: Arc<dyn Authenticator>,
        metrics: XdsMetrics,
        patience: Patience,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(limits::MAX_STREAMS));
        Self { tables, board, authenticator, metrics, patience, streams }
    }
}

#[async_trait]
impl AggregatedDiscoveryService for XdsService {
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let caller = self.authenticator.authenticate(request.metadata()).await;
        let caller = caller.map_err(|error| {
            self.metrics.refused.inc();
            warn!(%error, "discovery refused: caller not authenticated");
            error.status()
        })?;
        // Never ready and empty: a proxy would believe that everything is gone.
        if !self.board.synced() {
            self.metrics.refused.inc();
            return Err(Status::unavailable("the source has not been read yet"));
        }
        let permit = self.streams.clone().try_acquire_owned().map_err(|_| {
            self.metrics.refused.inc();
            Status::resource_exhausted("MAX_STREAMS discovery streams are open")
        })?;
        let (sink, responses) = mpsc::channel(limits::SEND_QUEUE);
        let stream = Stream {
            caller,
            requests: request.into_inner(),
            sink,
            types: types::all(&self.tables),
            bell: self.tables.bell(),
            metrics: self.metrics.clone(),
            patience: self.patience,
            progress: self.tables.progress.clone(),
        };
        let streams = self.metrics.streams.clone();
        streams.inc();
        tokio::spawn(async move {
            stream.run().await;
            streams.dec();
            drop(permit);
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

#[cfg(test)]
mod tests;
