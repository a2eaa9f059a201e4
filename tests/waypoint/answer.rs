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
    ask_with(client, url, &[]).await
}

/// Asks with curl and these fields, each `Name: value`.
pub(crate) async fn ask_with(
    client: &MeshPod,
    url: &str,
    fields: &[&str],
) -> anyhow::Result<Answered> {
    let fields = fields.iter().flat_map(|field| ["--header", field]);
    let args: Vec<&str> = ["--include", "--max-time", "10"].into_iter().chain(fields).collect();
    let text = client.curl(args.into_iter().chain([url])).await?.text();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.filter(|_| text.starts_with("HTTP/"));
    Ok(Answered { status, text })
}
