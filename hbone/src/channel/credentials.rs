//! What every call to the control plane carries: token, cluster, extra headers.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Longest token that is read, in bytes.
const MAX_TOKEN: u64 = 64 << 10;

/// The caller's proof towards the control plane: `AUTH_TOKEN`.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// A file that something else renews: read again for every call.
    File(PathBuf),
    /// The token itself.
    Text(String),
    /// None: only a server that knows the caller otherwise will accept.
    Absent,
}

/// Why a call cannot carry its credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The token file is missing or unreadable.
    #[error("token file {path:?} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The token file is empty: a renewal went wrong.
    #[error("token file {path:?} is empty; it must hold a token")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Something that is no token: line breaks, control characters, too long. The value is
    /// not shown.
    #[error("the token from {origin} is no text that a header can carry")]
    Malformed {
        /// Where the token came from.
        origin: String,
    },
    /// A header name or value from the configuration that HTTP cannot carry.
    #[error("header {name:?} or its value cannot be sent; use plain ASCII")]
    Header {
        /// The name as configured.
        name: String,
    },
}

impl Token {
    /// Default of the token file (docs/wire.md, "Certificates").
    pub const DEFAULT_FILE: &str = "./var/run/secrets/tokens/istio-token";

    /// Reads a setting: the path of an existing file, or else the token itself.
    pub fn from_setting(text: &str) -> Self {
        if text.is_empty() {
            Self::Absent
        } else if Path::new(text).exists() {
            Self::File(PathBuf::from(text))
        } else {
            Self::Text(text.to_owned())
        }
    }

    /// The token as it is now, without surrounding white space.
    pub fn read(&self) -> Result<Option<String>, CredentialError> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) => Ok(Some(text.trim().to_owned())),
            Self::File(path) => read_token(path).map(Some),
        }
    }
}

impl std::fmt::Debug for Token {
    /// Never shows a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.write_str("Text(..)"),
            Self::Absent => f.write_str("Absent"),
        }
    }
}

fn read_token(path: &Path) -> Result<String, CredentialError> {
    let failed = |source| CredentialError::Read { path: path.to_owned(), source };
    let malformed = || CredentialError::Malformed { origin: path.display().to_string() };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_TOKEN + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_TOKEN {
        return Err(malformed());
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    match text.trim() {
        "" => Err(CredentialError::Empty { path: path.to_owned() }),
        token => Ok(token.to_owned()),
    }
}

/// Adds `authorization`, `clusterid` and the configured headers to every call.
#[derive(Clone, Debug)]
pub struct Credentials {
    token: Token,
    headers: Arc<[(MetadataKey<Ascii>, MetadataValue<Ascii>)]>,
}

impl Credentials {
    /// `cluster` goes out as `clusterid`; `extra` are the `XDS_HEADER_*` or `CA_HEADER_*`
    /// settings, name and value.
    pub fn new<'a>(
        token: Token,
        cluster: &'a str,
        extra: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, CredentialError> {
        let all = std::iter::once(("clusterid", cluster)).chain(extra);
        let headers = all.map(|(name, value)| header(name, value)).collect::<Result<_, _>>()?;
        Ok(Self { token, headers })
    }

    fn authorization(&self) -> Result<Option<MetadataValue<Ascii>>, CredentialError> {
        let Some(token) = self.token.read()? else { return Ok(None) };
        let mut value = MetadataValue::try_from(format!("Bearer {token}"))
            .map_err(|_| CredentialError::Malformed { origin: format!("{:?}", self.token) })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn header(
    name: &str,
    value: &str,
) -> Result<(MetadataKey<Ascii>, MetadataValue<Ascii>), CredentialError> {
    let wrong = || CredentialError::Header { name: name.to_owned() };
    let key = name.to_ascii_lowercase().parse().map_err(|_| wrong())?;
    Ok((key, value.parse().map_err(|_| wrong())?))
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = self
            .authorization()
            .map_err(|error| Status::failed_precondition(super::chain(&error)))?;
        let metadata = request.metadata_mut();
        if let Some(value) = token {
            metadata.insert("authorization", value);
        }
        for (key, value) in self.headers.iter() {
            metadata.insert(key.clone(), value.clone());
        }
        Ok(request)
    }
}
