//! A process of a mesh, and what it says of itself.

use anyhow::{Context as _, bail};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dump::{ProxyDump, WAYPOINT_HAS_NO_DUMP};
use super::page::{self, Page};
use super::way::Way;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The control plane.
    Control,
    /// A node's proxy.
    Ztunnel,
    /// A layer 7 proxy.
    Waypoint,
}

impl Kind {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Ztunnel => "ztunnel",
            Self::Waypoint => "waypoint",
        }
    }
}

/// A process.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its node, or empty.
    pub(crate) node: String,
    /// Its pod's namespace, or empty.
    pub(crate) namespace: String,
    /// Its pod's name, or that of its instance; or empty.
    pub(crate) name: String,
    /// Of a waypoint: its Gateway.
    pub(crate) gateway: String,
    /// To its administrative pages.
    pub(crate) admin: Way,
    /// To its metrics.
    pub(crate) stats: Way,
    /// Why nobody should ask it, such as a pod that does not run.
    pub(crate) away: Option<String>,
}

/// What its metrics say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its version.
    pub(crate) version: Option<String>,
    /// Of a proxy: whether it is connected to control.
    pub(crate) connected: Option<bool>,
}

impl Member {
    /// `namespace/name` of its pod or instance, or empty.
    pub(crate) fn pod(&self) -> String {
        match (self.namespace.as_str(), self.name.as_str()) {
            (_, "") => String::new(),
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        }
    }

    /// How a person calls it.
    pub(crate) fn title(&self) -> String {
        let kind = self.kind.name();
        match (self.kind, self.node.as_str(), self.pod().as_str()) {
            (Kind::Ztunnel, node, _) if !node.is_empty() => format!("{kind} on {node}"),
            (Kind::Waypoint, node, pod) if !node.is_empty() => format!("{kind} {pod} on {node}"),
            (_, _, "") => format!("{kind} at {}", self.admin),
            (_, _, pod) => format!("{kind} {pod}"),
        }
    }

    /// Names by which a person may mean it: node, pod, Gateway.
    pub(crate) fn names(&self) -> Vec<String> {
        let gateway = match self.gateway.as_str() {
            "" => String::new(),
            gateway => format!("{}/{gateway}", self.namespace),
        };
        let node = if self.kind == Kind::Ztunnel { self.node.clone() } else { String::new() };
        let mut names: Vec<String> =
            [node, self.pod(), gateway].into_iter().filter(|name| !name.is_empty()).collect();
        names.dedup();
        names
    }

    /// For sorting.
    pub(crate) fn order(&self) -> (Kind, String, String) {
        (self.kind, self.node.clone(), self.pod())
    }

    /// A page of its administration.
    ///
    /// # Errors
    /// If it does not answer, or not with 200; it names the process.
    pub(crate) async fn page(&self, method: Method, path: &str) -> anyhow::Result<Page> {
        if let Some(why) = &self.away {
            bail!("{} cannot be asked: {why}", self.title());
        }
        let page = page::ask(&self.admin, method, path).await;
        let page = page.with_context(|| format!("{} does not answer", self.title()))?;
        if page.status == 404 {
            bail!("{} has no page {path}: it is older than this command", self.title());
        }
        if page.status != 200 {
            bail!("{} answers {path} with {}: {}", self.title(), page.status, page.text().trim());
        }
        Ok(page)
    }

    /// A page that is JSON.
    ///
    /// # Errors
    /// As [`Member::page`]; also if it cannot be read.
    pub(crate) async fn json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let page = self.page(Method::GET, path).await?;
        serde_json::from_slice(&page.body).with_context(|| {
            format!(
                "what {} says at {path} is not understood; is it of another version?",
                self.title()
            )
        })
    }

    /// All that a proxy knows.
    ///
    /// # Errors
    /// As [`Member::json`].
    pub(crate) async fn dump(&self) -> anyhow::Result<ProxyDump> {
        let dump = self.json("/config_dump").await;
        if self.kind == Kind::Waypoint && dump.is_err() && self.away.is_none() {
            return dump.context(WAYPOINT_HAS_NO_DUMP);
        }
        dump
    }

    /// Its version, and whether it is connected.
    ///
    /// # Errors
    /// If its metrics do not answer.
    pub(crate) async fn facts(&self) -> anyhow::Result<Facts> {
        if let Some(why) = &self.away {
            bail!("{} cannot be asked: {why}", self.title());
        }
        let page = page::ask(&self.stats, Method::GET, "/metrics").await;
        let page = page.with_context(|| format!("{} does not answer", self.title()))?;
        Ok(facts(&page.text()))
    }
}

fn facts(metrics: &str) -> Facts {
    let mut facts = Facts::default();
    for line in metrics.lines() {
        if let Some(labels) = line.strip_prefix("istio_build{") {
            facts.version = label(labels, "tag");
        } else if let Some(value) = line.strip_prefix("ambit_xds_connected ") {
            facts.connected = value.trim().parse::<f64>().ok().map(|value| value > 0.0);
        }
    }
    facts
}

fn label(labels: &str, name: &str) -> Option<String> {
    let after = labels.split_once(&format!("{name}=\""))?.1;
    Some(after.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_tell_version_and_connection() {
        let text = "# TYPE istio_build gauge\nistio_build{component=\"ztunnel\",tag=\"0.1.0\"} 1\n\
                    ambit_xds_connected 1\n";
        let want = Facts { version: Some("0.1.0".to_owned()), connected: Some(true) };
        assert_eq!(facts(text), want);
        assert_eq!(facts("ambit_xds_connected 0\n").connected, Some(false));
        assert_eq!(facts("other 1\n"), Facts::default());
    }
}
