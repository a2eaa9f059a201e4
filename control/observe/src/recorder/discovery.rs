//! What happens between the proxy and the control plane, as events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use hbone::xds::{Tell, Told};

use super::Recorder;

/// A type of resource whose changes are events.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// Its type URL.
    pub type_url: &'static str,
    /// The kind of event.
    pub kind: &'static str,
    /// What a person calls one of them, such as `policy`.
    pub one: &'static str,
    /// What a person calls several.
    pub several: &'static str,
}

impl Recorder {
    /// Keeps what the discovery client tells; of resources only those that are `watched`: the
    /// workloads of a mesh change all the time.
    pub fn discovery(&self, watched: &'static [Watched]) -> Tell {
        let recorder = self.clone();
        let connected = AtomicBool::new(false);
        Arc::new(move |told| recorder.discovered(watched, &connected, told))
    }

    fn discovered(&self, watched: &[Watched], connected: &AtomicBool, told: Told) {
        let control = || "the control plane".to_owned();
        match told {
            // Streams end in order from time to time; only one that failed is news.
            Told::Connected { servers } if !connected.swap(true, Relaxed) => {
                self.event("connected", "info", control(), format!("connected to {servers}"));
            }
            Told::Lost { servers, why } if connected.swap(false, Relaxed) => {
                let text = format!("{servers} was lost, what is known stays in force: {why}");
                self.event("disconnected", "warning", control(), text);
            }
            Told::Connected { .. } | Told::Lost { .. } => {}
            Told::Rejected { type_url, why } => {
                let short = type_url.rsplit('/').next().unwrap_or_default();
                let text = format!("refused, what was known before stays in force: {why}");
                self.event("configuration", "error", short.to_owned(), text);
            }
            Told::Taken { type_url, changed, removed } => {
                let Some(of) = watched.iter().find(|of| of.type_url == type_url) else { return };
                for (names, what) in [(changed, "came into force here"), (removed, "is gone here")]
                {
                    let subject = match (names.count(), names.only()) {
                        (0, _) => continue,
                        (_, Some(name)) => format!("{} {name}", of.one),
                        (count, None) => format!("{count} {}", of.several),
                    };
                    self.event(of.kind, "info", subject, format!("{what}: {names}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hbone::xds::Names;

    use super::*;

    const POLICIES: &[Watched] =
        &[Watched { type_url: "a/Policy", kind: "policy", one: "policy", several: "policies" }];

    fn texts(recorder: &Recorder) -> Vec<String> {
        let events = recorder.partial().events;
        events.iter().map(|e| format!("{} {}: {}", e.kind, e.subject, e.text)).collect()
    }

    #[test]
    fn losses_count_once_and_policies_by_name() {
        let recorder = Recorder::default();
        let tell = recorder.discovery(POLICIES);
        let connected = || Told::Connected { servers: "s".to_owned() };
        let lost = || Told::Lost { servers: "s".to_owned(), why: "no route".to_owned() };
        let taken = |type_url: &str, names: &[&str]| Told::Taken {
            type_url: type_url.to_owned(),
            changed: Names::of(names.iter().copied()),
            removed: Names::default(),
        };
        // Never connected: that is no loss. A stream that ended in order is followed by another.
        for told in [lost(), connected(), connected(), lost(), lost(), connected()] {
            tell(told);
        }
        for told in
            [taken("a/Workload", &["x"]), taken("a/Policy", &["x"]), taken("a/Policy", &["x", "y"])]
        {
            tell(told);
        }
        tell(Told::Rejected {
            type_url: "a/Policy".to_owned(),
            why: "x: no such field".to_owned(),
        });
        assert_eq!(
            texts(&recorder),
            [
                "connected the control plane: connected to s",
                "disconnected the control plane: s was lost, what is known stays in force: no route",
                "connected the control plane: connected to s",
                "policy policy x: came into force here: x",
                "policy 2 policies: came into force here: x, y",
                "configuration Policy: refused, what was known before stays in force: x: no such field",
            ]
        );
    }
}
