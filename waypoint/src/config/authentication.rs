//! Who may issue tokens, and what a token must be: from the wire to what requests are judged by.
//!
//! - [`key`]: keys that verify; [`place`]: where tokens are

use std::sync::Arc;

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::HeaderName;

use super::object::ObjectName;
use super::policy::Target;

pub mod key;
pub mod place;

use key::Key;
use place::Place;

/// A RequestAuthentication of the user, compiled.
#[derive(Debug)]
pub struct Authentication {
    /// The object.
    pub object: ObjectName,
    /// What it guards.
    pub targets: Vec<Target>,
    /// Or-ed.
    pub rules: Vec<TokenRule>,
    /// What could not be understood: every request to a target is refused.
    pub unreadable: Option<String>,
}

/// What tokens of one issuer must be.
#[derive(Debug)]
pub struct TokenRule {
    /// `iss`, compared as it is written.
    pub issuer: Arc<str>,
    /// One of them must be in `aud`; none accepts any.
    pub audiences: Vec<String>,
    /// Those that may have signed; or why no token of the issuer is accepted.
    pub keys: Result<Vec<Key>, String>,
    /// Where its tokens are.
    pub places: Vec<Place>,
    /// The application gets the token too.
    pub forward: bool,
    /// The field in which the application gets the payload.
    pub payload_header: Option<HeaderName>,
    /// Fields in which the application gets single claims.
    pub claim_headers: Vec<(HeaderName, String)>,
    /// Claims that are lists of words.
    pub word_claims: Vec<String>,
}

/// Claims that are always lists of words (RFC 8693 section 4.2, and Istio).
const WORD_CLAIMS: [&str; 2] = ["scope", "permission"];

impl Authentication {
    /// Compiles an object; it cannot fail: what is not understood refuses more.
    pub fn compile(wire: &pb::Authentication) -> Self {
        let mut unreadable = Some(wire.unreadable.clone()).filter(|why| !why.is_empty());
        let mut rules = Vec::with_capacity(wire.rules.len());
        for rule in &wire.rules {
            match TokenRule::compile(rule) {
                Ok(rule) => rules.push(rule),
                Err(why) => unreadable = unreadable.or(Some(why)),
            }
        }
        Self {
            object: ObjectName::from_wire(wire.object.as_ref()),
            targets: wire.targets.iter().filter_map(Target::compile).collect(),
            rules,
            unreadable,
        }
    }

    /// What could not be understood, for the log.
    pub fn not_understood(&self) -> impl Iterator<Item = &str> {
        let refused = self.rules.iter().filter_map(|rule| rule.keys.as_ref().err());
        self.unreadable.iter().chain(refused).map(String::as_str)
    }
}

impl TokenRule {
    /// # Errors
    /// If it is not known whose tokens it is about or where they are, or which fields an
    /// application trusts.
    fn compile(wire: &pb::TokenRule) -> Result<Self, String> {
        if wire.issuer.is_empty() {
            return Err("a rule has no issuer".to_owned());
        }
        let name = |text: &str| {
            HeaderName::try_from(text).map_err(|_| format!("{text:?} is no name of a header"))
        };
        let claim = |wire: &pb::ClaimHeader| Ok((name(&wire.header)?, wire.claim.clone()));
        let payload = Some(wire.payload_header.as_str()).filter(|text| !text.is_empty());
        let words = wire.space_delimited_claims.iter().map(String::as_str);
        Ok(Self {
            issuer: wire.issuer.as_str().into(),
            audiences: wire.audiences.clone(),
            keys: keys(wire),
            places: Place::all(wire)?,
            forward: wire.forward,
            payload_header: payload.map(name).transpose()?,
            claim_headers: wire.claim_headers.iter().map(claim).collect::<Result<_, String>>()?,
            word_claims: words.chain(WORD_CLAIMS).map(str::to_owned).collect(),
        })
    }

    /// The fields that the application takes from us, and so from nobody else.
    pub fn outputs(&self) -> impl Iterator<Item = &HeaderName> {
        self.payload_header.iter().chain(self.claim_headers.iter().map(|(name, _)| name))
    }
}

fn keys(wire: &pb::TokenRule) -> Result<Vec<Key>, String> {
    if !wire.refused.is_empty() {
        return Err(wire.refused.clone());
    }
    let keys: Vec<Key> = wire.keys.iter().filter_map(Key::compile).collect();
    if keys.is_empty() { Err("none of its keys can be used".to_owned()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests;
