//! A window and filters, as options and as a query.

use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::mesh::Mesh;

/// What is looked for.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which traffic")]
pub(crate) struct Filters {
    /// Only from or to this workload or pod: NAME or NAMESPACE/NAME; NAME* for all that begin so
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,

    /// Only calls of this service: NAME or NAMESPACE/NAME
    #[arg(long, value_name = "NAME")]
    service: Option<String>,

    /// Only with this identity on either side: a SPIFFE ID
    #[arg(long, value_name = "ID")]
    identity: Option<String>,

    /// Only what this policy decided: NAMESPACE/NAME
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,

    /// Only what proxies of this node saw
    #[arg(long, value_name = "NODE")]
    node: Option<String>,

    /// Only what failed or was refused
    #[arg(long)]
    failed: bool,
}

/// How far back.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Window {
    /// How far back: 30s, 10m, 2h, 1d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) since: Duration,
}

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) namespace: String,
    pub(crate) workload: String,
    pub(crate) service: String,
    pub(crate) identity: String,
    pub(crate) policy: String,
    pub(crate) node: String,
    pub(crate) failed: bool,
    pub(crate) limit: Option<u32>,
}

impl Filters {
    /// The question about the time until now.
    ///
    /// # Errors
    /// If a workload is of another namespace than `-n` says.
    pub(crate) fn since(&self, mesh: &Mesh, since: Duration) -> Result<Asked, Failure> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut namespace = mesh.namespaces.only().unwrap_or_default().to_owned();
        let mut workload = text(&self.workload);
        if let Some((of, name)) = workload.clone().split_once('/') {
            if !namespace.is_empty() && namespace != of {
                return Err(Failure::Usage(format!(
                    "workload '{workload}' is not in namespace '{namespace}'; leave one of both out"
                )));
            }
            (namespace, workload) = (of.to_owned(), name.to_owned());
        }
        Ok(Asked {
            namespace,
            workload,
            service: text(&self.service),
            identity: text(&self.identity),
            policy: text(&self.policy),
            node: text(&self.node),
            failed: self.failed,
            ..Asked::last(since)
        })
    }
}

impl Asked {
    /// Everything of the time until now.
    pub(crate) fn last(since: Duration) -> Self {
        let to_ms = observe::now_ms();
        let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Self { from_ms: to_ms.saturating_sub(since).max(0), to_ms, ..Self::default() }
    }

    /// With its window, as a query.
    pub(crate) fn query(&self) -> String {
        let mut parts = vec![format!("from={}", self.from_ms), format!("to={}", self.to_ms)];
        parts.extend(self.limit.map(|limit| format!("limit={limit}")));
        parts.extend(Some(self.filters()).filter(|filters| !filters.is_empty()));
        parts.join("&")
    }

    /// The filters alone, as a query.
    pub(crate) fn filters(&self) -> String {
        let pairs = [
            ("namespace", self.namespace.as_str()),
            ("workload", &self.workload),
            ("service", &self.service),
            ("identity", &self.identity),
            ("policy", &self.policy),
            ("node", &self.node),
            ("failed", if self.failed { "true" } else { "" }),
        ];
        let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
    }
}

/// Percent-encoded, but for what needs none (RFC 3986, section 2.3).
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `90s`, `10m`, `2h`, `1d`; at most 31 days.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("write a number with s, m, h or d, such as 10m; found {text:?}");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let all = count.checked_mul(seconds).filter(|all| (1..=31 * 86_400).contains(all));
    all.map(Duration::from_secs).ok_or_else(|| "write a time from 1s to 31d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        for (text, want) in
            [("30s", Some(30)), ("10m", Some(600)), ("2h", Some(7200)), ("1d", Some(86_400))]
        {
            assert_eq!(duration(text).ok().map(|d| d.as_secs()), want, "{text}");
        }
        for wrong in ["", "10", "m", "-1s", "0s", "32d", "1w", "1é", "99999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn filters_cannot_break_out_of_the_query() {
        let asked = Asked {
            from_ms: 1,
            to_ms: 2,
            workload: "a&from=0#\r\n é".to_owned(),
            failed: true,
            limit: Some(5),
            ..Asked::default()
        };
        let want = "from=1&to=2&limit=5&workload=a%26from%3D0%23%0D%0A%20%C3%A9&failed=true";
        assert_eq!(asked.query(), want);
    }
}
