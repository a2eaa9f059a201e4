//! Asks the name servers of this machine: `/etc/hosts`, then those of `/etc/resolv.conf`. Both
//! files are read again when they have changed.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::Name;

use super::{Answer, Ask, Unresolved};

/// What names depend on.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];
/// A server that does not answer in this time is asked once more, or another is.
const TRY: Duration = Duration::from_secs(2);

/// When a file was written last, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

/// The name servers of this machine, in the network namespace of the threads that ask.
#[derive(Default)]
pub struct System {
    current: Mutex<Option<([Stamp; 2], TokioResolver)>>,
}

impl System {
    /// The resolver for the files as they are.
    fn resolver(&self) -> Result<TokioResolver, Unresolved> {
        let stamps = FILES.map(stamp);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, resolver)) = &*current
            && *read == stamps
        {
            return Ok(resolver.clone());
        }
        let resolver = build().map_err(|error| {
            tracing::warn!(%error, file = FILES[0], "name servers are unknown");
            Unresolved::Failed
        })?;
        *current = Some((stamps, resolver.clone()));
        Ok(resolver)
    }
}

fn stamp(file: &str) -> Stamp {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn build() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    // Answers are kept by who asks us, for all who wait.
    options.cache_size = 0;
    options.timeout = TRY;
    options.attempts = 1;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    builder.build()
}

impl Ask for System {
    fn ask(&self, name: &str) -> BoxFuture<'static, Result<Answer, Unresolved>> {
        let asked = self.resolver().and_then(|resolver| Ok((resolver, parse(name)?)));
        async move {
            let (resolver, name) = asked?;
            let found = resolver.lookup_ip(name).await.map_err(|error| why(&error))?;
            let life = found.valid_until().saturating_duration_since(Instant::now());
            Ok(Answer { addresses: found.iter().collect(), life })
        }
        .boxed()
    }
}

/// A name with a dot is whole: to search it below other domains would ask strangers for it.
fn parse(text: &str) -> Result<Name, Unresolved> {
    let mut name = Name::from_ascii(text).map_err(|_| Unresolved::NoName)?;
    if text.contains('.') {
        name.set_fqdn(true);
    }
    Ok(name)
}

fn why(error: &NetError) -> Unresolved {
    if error.is_nx_domain() {
        return Unresolved::NoSuchName;
    }
    match error {
        NetError::Timeout => Unresolved::Timeout,
        error if error.is_no_records_found() => Unresolved::NoAddress,
        error => {
            tracing::debug!(%error, "a name was not resolved");
            Unresolved::Failed
        }
    }
}
