//! One discovery stream, from its first request to its end.

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::{debug, warn};

use super::backoff::End;
use super::told::{self, Told};
use super::{Client, MAX_MESSAGE, held};
use crate::channel::AuthorizedChannel;
use crate::wire::pb::envoy::service::discovery::v3 as pb;
use pb::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;

/// Requests that wait for the server to read them, beyond one per type. A server that reads
/// none while it goes on sending is cut.
const REQUEST_QUEUE: usize = 16;

/// How a stream ended, and whether the server had said anything at all.
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) answered: bool,
}

impl Client {
    /// Opens a stream on `channel`, subscribes, and applies responses until it ends.
    pub(super) async fn stream(&mut self, channel: AuthorizedChannel) -> Ended {
        let (requests, outgoing) = mpsc::channel(self.watches.len() + REQUEST_QUEUE);
        for watch in &self.watches {
            if requests.try_send(watch.first_request(&self.node)).is_err() {
                return Ended { end: End::Status(queue_full()), answered: false };
            }
        }
        let mut client =
            AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let deadline = Instant::now() + self.timing.answer;
        let open = client.delta_aggregated_resources(ReceiverStream::new(outgoing));
        let end = match timeout_at(deadline, open).await {
            Err(_) => End::Silent(self.timing.answer),
            Ok(Err(status)) => End::Status(status),
            Ok(Ok(responses)) => {
                debug!(servers = %self.control.servers(), "discovery stream opened");
                self.metrics.connected();
                self.tell(|| Told::Connected { servers: self.control.servers() });
                self.receive(responses.into_inner(), &requests, deadline).await
            }
        };
        Ended { end, answered: self.watches.iter().any(|watch| watch.answered) }
    }

    async fn receive(
        &mut self,
        mut responses: Streaming<pb::DeltaDiscoveryResponse>,
        requests: &mpsc::Sender<pb::DeltaDiscoveryRequest>,
        mut deadline: Instant,
    ) -> End {
        loop {
            // Once every type is answered there may be nothing to say for hours; from then on
            // HTTP/2 PINGs tell whether the server lives.
            let waiting = self.watches.iter().any(|watch| !watch.answered);
            let next = if waiting {
                match timeout_at(deadline, responses.message()).await {
                    Ok(next) => next,
                    Err(_) => return End::Silent(self.timing.answer),
                }
            } else {
                responses.message().await
            };
            let response = match next {
                Ok(Some(response)) => response,
                Ok(None) => return End::Complete,
                Err(status) => return End::Status(status),
            };
            let request = self.respond(response).await;
            if requests.try_send(request).is_err() {
                return End::Status(queue_full());
            }
            self.tell_synced();
            deadline = Instant::now() + self.timing.answer;
        }
    }

    async fn respond(&mut self, response: pb::DeltaDiscoveryResponse) -> pb::DeltaDiscoveryRequest {
        self.metrics.received(&response);
        let type_url = &response.type_url;
        let Some(watch) = self.watches.iter_mut().find(|watch| watch.type_url == *type_url) else {
            debug!(type_url, "discovery response of a type that is not watched");
            return held::acknowledge(type_url, response.nonce);
        };
        let (changed, removed) = told::names(&response);
        let request = watch.take(response).await;
        if let Some(error) = &request.error_detail {
            let type_url = &request.type_url;
            warn!(type_url, error = %error.message, "discovery resources rejected, the rest applied");
            let why = error.message.clone();
            self.tell(|| Told::Rejected { type_url: type_url.clone(), why });
        }
        self.tell(|| Told::Taken { type_url: request.type_url.clone(), changed, removed });
        request
    }

    fn tell_synced(&self) {
        if self.watches.iter().all(|watch| watch.synced) {
            self.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
        }
    }
}

fn queue_full() -> Status {
    Status::resource_exhausted("the server does not read its requests")
}
