//! What a verified token says of who asks (docs/wire.md, "Request authentication").

use serde_json::{Map, Value};

/// The bearer of a token that was verified. Made by [`crate::stage::jwt`] alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Bearer {
    issuer: String,
    principal: Option<String>,
    audiences: Vec<String>,
    claims: Map<String, Value>,
    word_claims: Vec<String>,
}

impl Bearer {
    /// From claims that were checked; `words` are lists of words.
    pub(crate) fn new(
        claims: Map<String, Value>,
        audiences: Vec<String>,
        words: &[String],
    ) -> Self {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let issuer = text("iss").unwrap_or_default().to_owned();
        // Without a subject there is nobody to name.
        let principal = text("sub").filter(|sub| !sub.is_empty());
        let principal = principal.map(|sub| format!("{issuer}/{sub}"));
        Self { issuer, principal, audiences, word_claims: words.to_vec(), claims }
    }

    /// `iss`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `iss/sub`; none without `sub`.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// `aud`.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// `azp`: whom the token was made for.
    pub fn presenter(&self) -> Option<&str> {
        self.claims.get("azp").and_then(Value::as_str)
    }

    /// What policies compare of the claim at `path`, the outermost name first.
    pub fn values(&self, path: &[String]) -> Vec<Compared<'_>> {
        let Some(value) = self.at(path) else { return Vec::new() };
        match (value, path) {
            (Value::String(text), [name]) if self.word_claims.contains(name) => {
                text.split_ascii_whitespace().map(|word| Compared::Text(word.into())).collect()
            }
            (Value::Array(items), _) => items.iter().map(compared).collect(),
            (value, _) => vec![compared(value)],
        }
    }

    /// The claim of that name, or inside others by a name with dots.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        let nested = || {
            let path: Vec<String> = name.split('.').map(str::to_owned).collect();
            self.at(&path)
        };
        self.claims.get(name).or_else(nested)
    }

    fn at(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        let mut value = self.claims.get(first)?;
        for name in rest {
            value = value.as_object()?.get(name)?;
        }
        Some(value)
    }
}

/// A value of a claim, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared<'a> {
    /// A text, or what has a text of its own.
    Text(std::borrow::Cow<'a, str>),
    /// An object, a list in a list, a fraction, or null.
    Other,
}

fn compared(value: &Value) -> Compared<'_> {
    text(value).map_or(Compared::Other, Compared::Text)
}

/// The text of a claim that has one: a string, a truth or a whole number.
pub(crate) fn text(value: &Value) -> Option<std::borrow::Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Bool(truth) => Some(truth.to_string().into()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string().into()),
        Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
