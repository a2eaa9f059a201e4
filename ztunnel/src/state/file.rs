//! Static state from a file (`LOCAL_XDS_PATH`), instead of or besides a control plane.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hbone::wire::authorization::{Authorization, LocalAuthorization};
use hbone::wire::error::WireError;
use hbone::wire::pb::istio::workload as pb;
use hbone::wire::workload::{LocalService, LocalWorkload, Service, Workload};
use serde::{Deserialize, Serialize};

use super::State;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// The content of the file: YAML or JSON, in the form of `/config_dump`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StaticState {
    /// Workloads.
    pub workloads: Vec<LocalWorkload>,
    /// Services.
    pub services: Vec<LocalService>,
    /// Policies.
    pub policies: Vec<LocalAuthorization>,
}

/// Why static state is not taken.
#[derive(Debug, thiserror::Error)]
pub enum StaticError {
    /// The file cannot be read.
    #[error("static state {path}: cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than any sensible one.
    #[error("static state {path}: {size} bytes; at most {MAX_FILE} are read")]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The text is not of the form.
    #[error("static state {path}: {cause}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: String,
    },
    /// A value is wrong.
    #[error(transparent)]
    Value(#[from] WireError),
}

impl StaticState {
    /// Reads a file of YAML or JSON.
    ///
    /// # Errors
    /// Unreadable, too large, or not of the form; unknown keys are errors.
    pub fn read(path: &Path) -> Result<Self, StaticError> {
        let read = |source| StaticError::Read { path: path.into(), source };
        let size = std::fs::metadata(path).map_err(read)?.len();
        if size > MAX_FILE {
            return Err(StaticError::Size { path: path.into(), size });
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::parse(&text).map_err(|cause| StaticError::Parse { path: path.into(), cause })
    }

    /// Reads a text of YAML or JSON; the error says where and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }
}

impl State {
    /// Adds static state: all of it or, with an error, nothing.
    ///
    /// # Errors
    /// The first value that is wrong.
    pub fn add_static(&self, content: &StaticState) -> Result<(), StaticError> {
        self.edit(|next, interner, touched| {
            let mut new = next.clone();
            for local in &content.workloads {
                let wire = pb::Workload::try_from(local.clone())?;
                new.put_workload(&Arc::new(Workload::from_wire(&wire, interner)?), touched);
            }
            for local in &content.services {
                let wire = pb::Service::try_from(local.clone())?;
                new.put_service(&Arc::new(Service::from_wire(&wire, interner)?));
            }
            for local in &content.policies {
                let policy = Authorization::from_wire(local.clone().into(), interner)?;
                new.put_policy(&Arc::new(policy), touched);
            }
            *next = new;
            Ok(())
        })
    }

    /// Declares the state complete where no control plane will send any: policies then
    /// decide instead of denying.
    pub fn complete(&self) {
        self.edit(|next, _, touched| {
            next.addresses_known = true;
            next.policies_known = true;
            touched.policies = true;
        });
    }
}
