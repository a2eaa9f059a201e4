//! Who is let in: by a client certificate, by a token, or by the session that a token began.
//!
//! The pages themselves hold no data, and are for everybody who can connect; the API is not.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone::serve::{Asked, Pages as _, Reply, ReplyBody};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use observe::http::Api;
use observe::site::Website;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};

use super::audit::{Audit, Way};
use super::origin;
use super::refusal::Refusal;
use super::review::{Reviewer, name};
use super::session::Sessions;
use super::tally::{Tally, source};
use crate::limits;

/// Where a browser signs in.
pub const SIGN_IN: &str = "/ui/sign-in";
/// Where it signs out.
pub const SIGN_OUT: &str = "/ui/sign-out";
/// Tells a page who is signed in; percent-encoded, since names are of any letters.
const SIGNED_IN: header::HeaderName = header::HeaderName::from_static("ambit-signed-in");
/// How often it is asked whether somebody may go on to hear what happens.
const AGAIN: Duration = Duration::from_secs(5);

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address.
    pub address: IpAddr,
    /// Of the client certificate that TLS verified.
    pub certificate: Option<Arc<str>>,
}

/// A reader who may have what he asks for.
#[derive(Clone, Debug)]
enum Reader {
    Certificate,
    Token(Arc<str>),
    Session { name: String, headers: HeaderMap },
}

/// Lets in and refuses.
pub struct Door {
    site: Arc<Website>,
    /// Asks the API server, if tokens are taken.
    reviewer: Option<Reviewer>,
    sessions: Sessions,
    failures: Tally<IpAddr>,
    audit: Arc<Audit>,
    /// Whether this replica answers for the mesh.
    leading: watch::Receiver<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    token: String,
}

impl Door {
    /// A door to `site`; tokens are taken if somebody reviews them.
    pub fn new(
        site: Arc<Website>,
        reviewer: Option<Reviewer>,
        audit: Arc<Audit>,
        leading: watch::Receiver<bool>,
    ) -> Self {
        let failures = Tally::new(Duration::from_mins(1), limits::MAX_DASHBOARD_SOURCES);
        let sessions = Sessions::new(audit.clone());
        Self { site, reviewer, sessions, failures, audit, leading }
    }

    /// What is told of who comes and goes.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Answers what only reads.
    pub async fn get(self: &Arc<Self>, mut asked: Asked, from: &Peer) -> Reply {
        let path = asked.uri.path().to_owned();
        if !Website::has(&path) {
            return Reply::not_found();
        }
        if !matches!(asked.method, Method::GET | Method::HEAD) {
            return Reply::method_not_allowed();
        }
        // Of HEAD the body is not sent.
        asked.method = Method::GET;
        let Some(page) = Api::path(&path) else { return self.site.answer(&asked).await };
        match self.reader(&asked.headers, &page, from).await {
            Ok(reader) => {
                let reply = self.site.answer(&asked).await;
                no_store(self.watched(reply, reader, page, from.clone()))
            }
            Err(refusal) => self.refuse(&refusal, from, &path),
        }
    }

    /// Who asks for `page`, if he may have it.
    async fn reader(
        &self,
        headers: &HeaderMap,
        page: &str,
        from: &Peer,
    ) -> Result<Reader, Refusal> {
        // Certificates come with what any page has its browser ask for.
        if origin::is_other_site(headers) {
            return Err(Refusal::OtherSite);
        }
        let reader = self.known(headers, page, from).await?;
        // Nobody learns from this who is not let in.
        if *self.leading.borrow() { Ok(reader) } else { Err(Refusal::NotLeading) }
    }

    async fn known(&self, headers: &HeaderMap, page: &str, from: &Peer) -> Result<Reader, Refusal> {
        if let Some(certificate) = &from.certificate {
            self.audit.admitted(Way::Certificate, certificate, from.address);
            return Ok(Reader::Certificate);
        }
        let Some(reviewer) = &self.reviewer else { return Err(Refusal::Nobody) };
        if headers.contains_key(header::AUTHORIZATION) {
            let token = bearer(headers).ok_or(Refusal::Malformed)?;
            self.may_try(reviewer, token, from)?;
            let user = self.counted(reviewer.may_get(token, page).await, from)?;
            self.audit.admitted(Way::Token, &name(&user), from.address);
            return Ok(Reader::Token(token.into()));
        }
        let token = self.sessions.token(headers, Instant::now())?.ok_or(Refusal::Nobody)?;
        match reviewer.may_get(&token, page).await {
            Ok(user) => Ok(Reader::Session { name: name(&user), headers: headers.clone() }),
            Err(refusal) => {
                if matches!(refusal, Refusal::Token { .. }) {
                    self.sessions.end(headers);
                }
                Err(refusal)
            }
        }
    }

    /// That not too many wrong tokens came from there; one that was accepted of late is no guess.
    fn may_try(&self, reviewer: &Reviewer, token: &str, from: &Peer) -> Result<(), Refusal> {
        let failed = self.failures.so_far(&source(from.address), Instant::now());
        if failed >= limits::MAX_DASHBOARD_FAILURES && !reviewer.knows(token) {
            return Err(Refusal::TooMany);
        }
        Ok(())
    }

    /// Counts a token that was wrong.
    fn counted<T>(&self, result: Result<T, Refusal>, from: &Peer) -> Result<T, Refusal> {
        if matches!(result, Err(Refusal::Token { .. } | Refusal::Malformed)) {
            self.failures.count(&source(from.address), Instant::now());
        }
        result
    }

    /// Signs in or out; `body` is what came with it.
    pub async fn post(&self, path: &str, headers: &HeaderMap, body: Bytes, from: &Peer) -> Reply {
        if self.reviewer.is_none() || !matches!(path, SIGN_IN | SIGN_OUT) {
            return Reply::method_not_allowed();
        }
        if !origin::is_own_page(headers) {
            return self.refuse(&Refusal::OtherSite, from, path);
        }
        if path == SIGN_OUT {
            let (whose, cookie) = self.sessions.end(headers);
            if let Some(name) = whose {
                self.audit.left(&name, from.address);
            }
            return with_cookie(Reply::new(StatusCode::OK, "application/json", "{}"), cookie);
        }
        match self.sign_in(headers, &body, from).await {
            Ok(cookie) => with_cookie(Reply::new(StatusCode::OK, "application/json", "{}"), cookie),
            Err(refusal) => self.refuse(&refusal, from, path),
        }
    }

    async fn sign_in(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        from: &Peer,
    ) -> Result<HeaderValue, Refusal> {
        let reviewer = self.reviewer.as_ref().ok_or(Refusal::Nobody)?;
        let SignIn { token } = serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
        let token = token.trim();
        self.may_try(reviewer, token, from)?;
        let user = self.counted(reviewer.user(token).await, from)?;
        let name = name(&user);
        // The browser's cookie is replaced: what it stood for is nobody's any more.
        self.sessions.end(headers);
        let cookie = self.sessions.begin(token, &name, Instant::now())?;
        self.audit.admitted(Way::Session, &name, from.address);
        Ok(cookie)
    }

    fn refuse(&self, refusal: &Refusal, from: &Peer, path: &str) -> Reply {
        self.audit.refused(refusal, from.address, path);
        no_store(refusal.reply())
    }

    /// The same answer, with who reads it; one that goes on ends when he may read no more.
    fn watched(
        self: &Arc<Self>,
        mut reply: Reply,
        reader: Reader,
        page: String,
        from: Peer,
    ) -> Reply {
        if let Reader::Session { name, .. } = &reader {
            reply.headers.insert(SIGNED_IN, encoded(name));
        }
        let ReplyBody::Stream(mut pieces) = reply.body else { return reply };
        let (to_reader, watched) = mpsc::channel(1);
        let door = Arc::clone(self);
        tokio::spawn(async move {
            let mut again = tokio::time::interval(AGAIN);
            loop {
                tokio::select! {
                    () = to_reader.closed() => return,
                    _ = again.tick() => if !door.still(&reader, &page, &from).await { return },
                    piece = pieces.recv() => {
                        let Some(piece) = piece else { return };
                        if to_reader.send(piece).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        reply.body = ReplyBody::Stream(watched);
        reply
    }

    async fn still(&self, reader: &Reader, page: &str, from: &Peer) -> bool {
        let Some(reviewer) = &self.reviewer else { return *self.leading.borrow() };
        let refused = match reader {
            // Its connection ends soon, and then it is verified anew.
            Reader::Certificate => None,
            Reader::Token(token) => reviewer.may_get(token, page).await.err(),
            Reader::Session { headers, .. } => self.known(headers, page, from).await.err(),
        };
        if let Some(refusal) = &refused {
            self.audit.refused(refusal, from.address, page);
        }
        refused.is_none() && *self.leading.borrow()
    }
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// A name as a header field can have it.
fn encoded(name: &str) -> HeaderValue {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

fn with_cookie(mut reply: Reply, cookie: HeaderValue) -> Reply {
    reply.headers.insert(header::SET_COOKIE, cookie);
    no_store(reply)
}

fn no_store(reply: Reply) -> Reply {
    reply.with(header::CACHE_CONTROL, "no-store")
}
