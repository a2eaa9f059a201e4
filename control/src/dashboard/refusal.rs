//! Why a reader is not answered, and what he hears of it.

use hbone::serve::Reply;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// Why somebody is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither certificate, token nor session.
    #[error("no client certificate, token or session came with the request; sign in")]
    Nobody,
    /// Two tokens, or one that can be none.
    #[error("the request has no single bearer token of at most 16 KiB")]
    Malformed,
    /// A session that is over, or never was.
    #[error("the session has ended; sign in again")]
    Ended,
    /// The API server's answer is no. The reason is for the log.
    #[error("the API server does not accept this token for the audience {audience}")]
    Token {
        /// For whom it would have to be.
        audience: String,
        /// What the API server said.
        reason: String,
    },
    /// Who he is, is known; he may not.
    #[error(
        "{name} may not get {right} here: bind a ClusterRole with that path, or one that ends \
         with *, under nonResourceURLs, such as ambit-dashboard-viewer"
    )]
    Right {
        /// The user.
        name: String,
        /// The path that he may not get.
        right: String,
    },
    /// A page of another site.
    #[error("a page of another site asks; only the dashboards' own pages may")]
    OtherSite,
    /// Too many wrong tokens from there.
    #[error("too many wrong tokens came from this address; try again in a minute")]
    TooMany,
    /// The API server gave no answer.
    #[error("the API server cannot be asked who this is; try again soon")]
    Unanswered(String),
    /// Nobody else may sign in now.
    #[error("too many are signed in; try again later")]
    Full,
    /// What proxies remember is asked elsewhere.
    #[error("another replica answers for the mesh; try again")]
    NotLeading,
    /// A certificate of nobody's, or no TLS.
    #[error("no TLS connection came about")]
    Handshake(String),
}

impl Refusal {
    /// The label of metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Nobody => "no_credentials",
            Self::Malformed => "malformed",
            Self::Ended => "session_ended",
            Self::Token { .. } => "token",
            Self::Right { .. } => "right",
            Self::OtherSite => "other_site",
            Self::TooMany => "too_many_failures",
            Self::Unanswered(_) => "unanswered",
            Self::Full => "too_many_sessions",
            Self::NotLeading => "not_leading",
            Self::Handshake(_) => "handshake",
        }
    }

    /// What the log has beside the words that the reader hears.
    pub fn reason(&self) -> &str {
        match self {
            Self::Token { reason, .. } | Self::Unanswered(reason) | Self::Handshake(reason) => {
                reason
            }
            Self::Nobody
            | Self::Malformed
            | Self::Ended
            | Self::Right { .. }
            | Self::OtherSite
            | Self::TooMany
            | Self::Full
            | Self::NotLeading => "",
        }
    }

    /// Who he is, if that is known.
    pub fn who(&self) -> &str {
        if let Self::Right { name, .. } = self { name } else { "" }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Nobody | Self::Malformed | Self::Ended | Self::Token { .. } => {
                StatusCode::UNAUTHORIZED
            }
            Self::Right { .. } | Self::OtherSite | Self::Handshake(_) => StatusCode::FORBIDDEN,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unanswered(_) | Self::Full | Self::NotLeading => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the reader hears.
    pub fn reply(&self) -> Reply {
        let right = if let Self::Right { right, .. } = self { right } else { "" };
        let body = json!({ "error": self.to_string(), "right": right });
        let status = self.status();
        let reply = Reply::new(status, "application/json", body.to_string());
        match self {
            // The next connection of a Service may lead to the replica that answers.
            Self::NotLeading => reply.with(header::CONNECTION, "close"),
            Self::TooMany => reply.with(header::RETRY_AFTER, "60"),
            _ if status == StatusCode::UNAUTHORIZED => {
                let value = HeaderValue::from_static("Bearer realm=\"ambit dashboards\"");
                let mut reply = reply;
                reply.headers.insert(header::WWW_AUTHENTICATE, value);
                reply
            }
            _ => reply,
        }
    }
}
