//! What a client of the mesh gets.

use testbed::mesh::MeshPod;

/// An answer as curl shows it.
pub(crate) struct Answered {
    /// None if the connection was refused or reset.
    pub(crate) status: Option<u16>,
    text: String,
}

impl Answered {
    /// A header of the answer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Asks with curl.
pub(crate) async fn ask(client: &MeshPod, url: &str) -> anyhow::Result<Answered> {
    let text = client.curl(["--include", "--max-time", "10", url]).await?.text();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.filter(|_| text.starts_with("HTTP/"));
    Ok(Answered { status, text })
}
