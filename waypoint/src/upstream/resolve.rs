//! From what was chosen to an address.

use std::net::SocketAddr;
use std::sync::Arc;

use hbone::resolve::Resolver;

use crate::directory::balance::{Chosen, Endpoint};
use crate::failure::Failure;

/// The endpoint of a choice. A name is resolved on behalf of `source`; if it is a wildcard's, the
/// request is for the host `asked`.
///
/// # Errors
/// [`Failure::Unresolved`], with the name.
pub async fn settle(
    resolver: &Resolver,
    chosen: Chosen,
    asked: Option<&str>,
    source: &Arc<str>,
    tried: &[SocketAddr],
    random: u64,
) -> Result<Endpoint, Failure> {
    let named = match chosen {
        Chosen::Endpoint(endpoint) => return Ok(endpoint),
        Chosen::Named(named) => named,
    };
    let unresolved = |host: &str| {
        let host = host.to_owned();
        |why| Failure::Unresolved { host, why }
    };
    let asked_for = asked.unwrap_or_default();
    let host = named.host(asked).map_err(unresolved(asked_for))?;
    let addresses = resolver.lookup(&host, source).await.map_err(unresolved(&host))?;
    named.at(&addresses, tried, random).map_err(unresolved(&host))
}
