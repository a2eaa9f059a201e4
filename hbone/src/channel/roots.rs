//! What a control plane server is verified against.

use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest root bundle that is read, in bytes.
const MAX_ROOTS: u64 = 1 << 20;

/// Where the system's own roots are, by distribution.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The roots of the control plane's certificate: `XDS_ROOT_CA`, `CA_ROOT_CA`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// A PEM file, read again for each connection, so that a new root needs no restart.
    File(PathBuf),
    /// PEM given in the setting itself.
    Inline(String),
    /// The roots of the system: `SYSTEM`.
    System,
}

/// Why there are no roots.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file is missing or unreadable.
    #[error("root certificates {path:?} cannot be read; mount the mesh's root-cert.pem there")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file or setting holds no certificate.
    #[error("{origin} holds no PEM certificate")]
    Empty {
        /// The file, or where the setting came from.
        origin: String,
    },
    /// More than a root bundle ever needs.
    #[error("root certificates {path:?} are longer than {MAX_ROOTS} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// None of the known places of system roots exists.
    #[error("the system has no root certificates; install ca-certificates or name a file")]
    NoSystemRoots,
}

impl Roots {
    /// Default of the mesh root file (docs/wire.md, "Certificates").
    pub const DEFAULT_FILE: &str = "./var/run/secrets/istio/root-cert.pem";

    /// Reads a setting: inline PEM, `SYSTEM`, or the path of a file.
    pub fn from_setting(text: &str) -> Self {
        if text == "SYSTEM" {
            Self::System
        } else if text.contains("-----BEGIN ") {
            Self::Inline(text.to_owned())
        } else {
            Self::File(PathBuf::from(text))
        }
    }

    /// The roots as they are now, PEM with at least one certificate.
    pub fn read(&self) -> Result<Vec<u8>, RootsError> {
        match self {
            Self::File(path) => read_file(path),
            Self::Inline(text) => non_empty(text.clone().into_bytes(), || "the setting".to_owned()),
            Self::System => {
                let bundle = SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists());
                read_file(bundle.ok_or(RootsError::NoSystemRoots)?)
            }
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, RootsError> {
    let failed = |source| RootsError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut pem = Vec::new();
    file.take(MAX_ROOTS + 1).read_to_end(&mut pem).map_err(failed)?;
    if pem.len() as u64 > MAX_ROOTS {
        return Err(RootsError::TooLong { path: path.to_owned() });
    }
    non_empty(pem, || path.display().to_string())
}

fn non_empty(pem: Vec<u8>, origin: impl FnOnce() -> String) -> Result<Vec<u8>, RootsError> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    if pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        Ok(pem)
    } else {
        Err(RootsError::Empty { origin: origin() })
    }
}
