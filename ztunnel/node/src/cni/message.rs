//! The body of the call.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// Most addresses of one call: two families on a few interfaces.
const MAX_IPS: usize = 32;

/// A pod that is about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    /// Where its network namespace is.
    pub(super) netns: PathBuf,
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
}

/// Why a body is not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum MessageError {
    #[error("the body is no announcement: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0} is empty; it must name the pod")]
    Empty(&'static str),
    #[error("IPs has {0} entries; at most 32 are taken")]
    TooManyIps(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    netns: String,
    pod_name: String,
    pod_namespace: String,
    #[serde(rename = "IPs", default)]
    ips: Option<Vec<IpConfig>>,
}

/// What the network gave the pod. Checked and not used: the source names the addresses.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IpConfig {
    #[serde(rename = "Interface")]
    _interface: Option<i64>,
    #[serde(rename = "Address")]
    _address: Address,
    #[serde(rename = "Gateway", default)]
    _gateway: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "IP")]
    _ip: IpAddr,
    #[serde(rename = "Mask", default)]
    _mask: Option<String>,
}

impl Announcement {
    pub(super) fn parse(body: &[u8]) -> Result<Self, MessageError> {
        let body: Body = serde_json::from_slice(body)?;
        let ips = body.ips.map_or(0, |ips| ips.len());
        if ips > MAX_IPS {
            return Err(MessageError::TooManyIps(ips));
        }
        for (field, value) in [
            ("Netns", &body.netns),
            ("PodName", &body.pod_name),
            ("PodNamespace", &body.pod_namespace),
        ] {
            if value.is_empty() {
                return Err(MessageError::Empty(field));
            }
        }
        Ok(Self { netns: body.netns.into(), namespace: body.pod_namespace, name: body.pod_name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"Netns":"/run/netns/a","PodName":"web","PodNamespace":"shop",
        "IPs":[{"Interface":0,"Address":{"IP":"10.1.0.5","Mask":"////AA=="},"Gateway":"10.1.0.1"},
               {"Interface":null,"Address":{"IP":"fd00::5","Mask":"/////////w=="},"Gateway":""}]}"#;

    #[test]
    fn a_body_is_read_or_refused_with_its_field() {
        let good = Announcement::parse(GOOD.as_bytes()).expect("read");
        let want = Announcement {
            netns: "/run/netns/a".into(),
            namespace: "shop".into(),
            name: "web".into(),
        };
        assert_eq!(good, want);
        let no_ips = r#"{"Netns":"/n","PodName":"web","PodNamespace":"shop","IPs":null}"#;
        assert!(Announcement::parse(no_ips.as_bytes()).is_ok());
        let many = format!("[{}]", vec![r#"{"Address":{"IP":"10.1.0.5"}}"#; 33].join(","));
        for (case, body, part) in [
            ("not JSON", "netns".to_owned(), "announcement"),
            ("no name", GOOD.replace("PodName", "Name"), "PodName"),
            ("empty path", GOOD.replace("/run/netns/a", ""), "Netns is empty"),
            ("bad address", GOOD.replace("10.1.0.5", "ten"), "IP"),
            ("too many", GOOD.replace(r#""IPs":["#, &format!(r#""IPs":{many},"x":["#)), "33"),
        ] {
            let error = Announcement::parse(body.as_bytes()).expect_err(case).to_string();
            assert!(error.contains(part), "{case}: {error}");
        }
    }
}
