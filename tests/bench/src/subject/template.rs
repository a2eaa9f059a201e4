//! Other proxies, as a file describes them.
//!
//! ```yaml
//! # Programs between client and server. In every text, {client}, {server}, {client-node} and
//! # {server-node} are IPv4 addresses, {port} is the server's port and {dir} a directory with
//! # ca.pem, cert.pem and key.pem of super::certificates. Paths may begin at the repository.
//! programs:
//!   - name: envoy, client
//!     place: client                 # client, server, client-node or server-node
//!     command: [/usr/bin/envoy, -c, "{dir}/client.yaml"]
//!     env: {}
//!     files:
//!       client.yaml: |
//!         ...
//! dial: 127.0.0.1:10001             # what the client dials, {server}:{port} by default
//! ```
//!
//! or what stands in for both ztunnels, under our control plane and node agents:
//!
//! ```yaml
//! ztunnel: /path/to/ztunnel
//! args: []
//! env: {}
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use testbed::{Command, Process};

use super::mesh::Ztunnel;

/// Another subject.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Other {
    /// What stands in for ztunnel.
    Ztunnel(Ztunnel),
    /// Programs of any kind.
    Template(Template),
}

/// Programs between client and server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// In the order of their start.
    pub programs: Vec<Described>,
    /// What the client dials; the server itself without.
    pub dial: Option<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Its name in the results.
    pub name: String,
    /// Where it runs.
    pub place: Side,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files in `{dir}`, by name.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// A network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The client's pod.
    Client,
    /// The server's pod.
    Server,
    /// The node of the client's pod.
    ClientNode,
    /// The node of the server's pod.
    ServerNode,
}

impl Other {
    /// Reads `--with`: a file that describes a subject, or the path of what stands in for
    /// ztunnel.
    ///
    /// # Errors
    /// If the file is neither.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let described = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if !described {
            anyhow::ensure!(path.is_file(), "{} is no file", path.display());
            return Ok(Self::Ztunnel(Ztunnel::at(path.canonicalize()?)));
        }
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let other: Self = serde_saphyr::from_str(text)
            .context("write programs: and dial:, or ztunnel:, args: and env:")?;
        if let Self::Template(template) = &other {
            for program in &template.programs {
                let name = &program.name;
                anyhow::ensure!(!program.command.is_empty(), "{name}: command is empty");
            }
        }
        Ok(other)
    }
}

/// What stands for the words in braces.
#[derive(Clone, Debug)]
pub struct Words {
    /// `{dir}`.
    pub directory: PathBuf,
    /// `{client}` and so on.
    pub addresses: [(&'static str, Ipv4Addr); 4],
    /// `{port}`.
    pub port: u16,
}

impl Words {
    /// A text with its words filled in.
    pub fn fill(&self, text: &str) -> String {
        let mut text = text
            .replace("{dir}", &self.directory.display().to_string())
            .replace("{port}", &self.port.to_string());
        for (word, address) in self.addresses {
            text = text.replace(&format!("{{{word}}}"), &address.to_string());
        }
        text
    }
}

impl Described {
    /// Its program.
    pub fn path(&self, words: &Words) -> String {
        words.fill(self.command.first().map_or("", String::as_str))
    }

    /// Writes its files and starts it where `place` makes commands for.
    ///
    /// # Errors
    /// If a file cannot be written or the program not started.
    pub fn start(
        &self,
        words: &Words,
        place: impl FnOnce(Side) -> Command,
    ) -> anyhow::Result<Process> {
        for (name, content) in &self.files {
            let path = words.directory.join(name);
            fs::write(&path, words.fill(content)).with_context(|| path.display().to_string())?;
        }
        let mut command = place(self.place);
        for argument in self.command.iter().skip(1) {
            command = command.arg(words.fill(argument));
        }
        for (name, value) in &self.env {
            command = command.env(name, words.fill(value));
        }
        Ok(command.spawn()?)
    }
}

#[cfg(test)]
mod tests;
