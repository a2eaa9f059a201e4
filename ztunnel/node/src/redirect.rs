//! Redirection in a pod's network namespace: what brings its new connections to the proxy.
//!
//! - [`ruleset`]: the rules as text, pure
//! - [`nft`]: applying and reading them
//! - [`host`]: the rules of the node, for kubelet's probes
//! - [`route`]: the rule and the routes for replies to the proxy

pub mod host;
pub mod nft;
pub mod route;
pub mod ruleset;

use hbone::netns::Netns;

pub use nft::{Listing, NftError};
pub use route::RouteError;
pub use ruleset::{Options, Redirection};

/// Why a pod is not redirected.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// The rules.
    #[error("the rules")]
    Rules(#[from] NftError),
    /// The routes.
    #[error("the routes")]
    Routes(#[from] RouteError),
}

/// Brings a namespace to `wanted`, from whatever it was, and returns the rules that it has
/// then. Rules change in one transaction; routes, which nothing uses without rules, are
/// there before them and go after them.
pub async fn apply(netns: &Netns, wanted: &Redirection) -> Result<Listing, RedirectError> {
    if *wanted != Redirection::None {
        route::ensure(netns).await?;
    }
    nft::apply(netns, &ruleset::transaction(wanted)).await?;
    if *wanted == Redirection::None {
        route::remove(netns).await?;
    }
    Ok(nft::list(netns).await?)
}

/// Compares a namespace with the rules that it had when they were applied, restores what
/// differs, and returns the new rules if something did.
pub async fn restore(
    netns: &Netns,
    wanted: &Redirection,
    known: &Listing,
) -> Result<Option<Listing>, RedirectError> {
    let routes_were_missing = route::ensure(netns).await?;
    if nft::list(netns).await? == *known {
        return if routes_were_missing { Ok(Some(known.clone())) } else { Ok(None) };
    }
    apply(netns, wanted).await.map(Some)
}

#[cfg(test)]
mod tests;
