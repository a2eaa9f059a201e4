//! The metrics page.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::{Answer, Asked, Pages, Reply};

const OPEN_METRICS: &str = "application/openmetrics-text;charset=utf-8;version=1.0.0";
const PLAIN: &str = "text/plain; charset=utf-8";

/// `GET /metrics` and `GET /stats/prometheus`.
pub struct MetricsPage(pub Arc<Registry>);

impl Pages for MetricsPage {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a> {
        Box::pin(std::future::ready(self.reply(asked)))
    }
}

impl MetricsPage {
    fn reply(&self, asked: &Asked) -> Reply {
        if !matches!(asked.uri.path(), "/metrics" | "/stats/prometheus") {
            return Reply::not_found();
        }
        if asked.method != Method::GET {
            return Reply::method_not_allowed();
        }
        let mut text = String::new();
        if encode(&mut text, &self.0).is_err() {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Reply::text(status, "the metrics cannot be written\n");
        }
        let content_type = if accepts_open_metrics(&asked.headers) { OPEN_METRICS } else { PLAIN };
        Reply::new(StatusCode::OK, content_type, text)
    }
}

fn accepts_open_metrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|part| {
        let media = part.split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case("application/openmetrics-text")
    })
}
