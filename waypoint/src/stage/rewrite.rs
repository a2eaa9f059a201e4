//! Filters of the rule: redirect, rewrite, header changes.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, LOCATION};

use crate::config::route::{Filters, PathChange, Redirect};
use crate::failure::Failure;
use crate::http::head::{Head, split_host};
use crate::http::reply::Reply;
use crate::path;
use crate::pipeline::{Exchange, Flow, Stage};

/// Applies the filters of the rule and of the backend.
#[derive(Clone, Copy, Debug)]
pub struct Rewrites;

impl Stage for Rewrites {
    const NAME: &'static str = "rewrite";

    async fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let Some(matched) = exchange.rule.clone() else { return Flow::Continue };
        let filters = &matched.rule.filters;
        if let Some(redirect) = &filters.redirect {
            return redirect_reply(
                redirect,
                &exchange.head,
                &matched.path,
                exchange.inbound.target.address().port(),
            );
        }
        if let Some(reason) = exchange.backend().and_then(|b| b.filters.unsupported.clone()) {
            return Failure::Misconfigured { route: matched.rule.object.clone(), reason }.into();
        }
        let of_backend =
            matched.backend.and_then(|at| matched.rule.backends.get(at)).map(|b| &b.filters);
        for filters in std::iter::once(filters).chain(of_backend) {
            if let Err(reason) = apply(filters, exchange, &matched.path) {
                return Failure::Misconfigured { route: matched.rule.object.clone(), reason }
                    .into();
            }
        }
        Flow::Continue
    }
}

fn apply(filters: &Filters, exchange: &mut Exchange, matched: &str) -> Result<(), String> {
    exchange.response_edits.0.extend(filters.response.0.iter().cloned());
    if !filters.request.0.is_empty() {
        filters.request.apply(&mut Arc::make_mut(&mut exchange.head).headers);
    }
    let Some(rewrite) = &filters.rewrite else { return Ok(()) };
    let head = Arc::make_mut(&mut exchange.head);
    if let Some(host) = &rewrite.hostname {
        let text = host.to_str().map_err(|e| e.to_string())?;
        (head.host, head.port) = split_host(text).map_err(|e| e.to_string())?;
    }
    if let Some(change) = &rewrite.path {
        head.path = changed(change, &head.path, matched)?;
    }
    Ok(())
}

/// A changed path is a path of ours and canonical too.
fn changed(change: &PathChange, path: &str, matched: &str) -> Result<String, String> {
    let new = change.apply(path, matched);
    path::canonical(&new).map_err(|error| format!("the rewritten path {new:?}: {error}"))
}

fn redirect_reply(redirect: &Redirect, head: &Head, matched: &str, port: u16) -> Flow {
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::try_from(location(redirect, head, matched, port)) {
        headers.insert(LOCATION, location);
    }
    Flow::Reply(Box::new(Reply {
        status: redirect.status,
        headers,
        body: Bytes::new(),
        failure: None,
    }))
}

/// Scheme, host, port and path of the redirect (Gateway API, HTTPRequestRedirectFilter).
fn location(redirect: &Redirect, head: &Head, matched: &str, port: u16) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or("http");
    let host = redirect.hostname.as_deref().unwrap_or(&head.host);
    let well_known = if scheme == "https" { 443 } else { 80 };
    let kept = if redirect.scheme.is_some() { well_known } else { head.port.unwrap_or(port) };
    let port = redirect.port.unwrap_or(kept);
    let path =
        redirect.path.as_ref().map_or_else(|| head.path.clone(), |c| c.apply(&head.path, matched));
    let query = head.query.as_ref().map(|q| format!("?{q}")).unwrap_or_default();
    let port = if port == well_known { String::new() } else { format!(":{port}") };
    format!("{scheme}://{host}{port}{path}{query}")
}

#[cfg(test)]
mod tests;
