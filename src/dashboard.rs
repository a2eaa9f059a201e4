//! `ambit dashboard`: the pages of control, or of one proxy, for a browser of this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use anyhow::Context as _;
use clap::Args;
use tokio::net::{TcpListener, TcpStream};

use crate::failed;
use crate::failure::{Failure, Outcome};
use crate::mesh::way::Way;
use crate::mesh::{Kind, Member, Mesh, Where};
use crate::terminal::{clean, style};

/// Where the pages are.
const PAGES: &str = "/ui/";

/// What to show, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The pages of this node's ztunnel, instead of those of the whole mesh
    #[arg(long, value_name = "NODE")]
    node: Option<String>,

    /// Only print the address
    #[arg(long)]
    no_open: bool,

    /// Port of this machine for the way there; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,

    #[command(flatten)]
    place: Where,
}

/// Opens the pages. Where they are out of a browser's reach, this machine forwards them until
/// Ctrl-C.
///
/// # Errors
/// If nobody serves them.
pub(crate) async fn run(options: &Options) -> Result<Outcome, Failure> {
    let mesh = options.place.find().await?;
    let member = server(&mesh, options.node.as_deref()).await?;
    if let Way::Direct(address) = member.admin {
        show(address, options.no_open).await;
        return Ok(Outcome::Fine);
    }
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await;
    let listener = bound.with_context(|| format!("cannot listen on port {}", options.port))?;
    let address = listener.local_addr().map_err(anyhow::Error::from)?;
    show(address, options.no_open).await;
    eprintln!("forwarding to {}; Ctrl-C ends", clean(&member.title()));
    tokio::select! {
        failed = forward(listener, member) => Err(failed.into()),
        _ = tokio::signal::ctrl_c() => Ok(Outcome::Fine),
    }
}

/// The first control plane that answers, or the ztunnel of a node.
async fn server(mesh: &Mesh, node: Option<&str>) -> Result<Member, Failure> {
    let members = mesh.members().await?;
    if let Some(node) = node {
        let known: Vec<&str> =
            members.iter().map(|one| one.node.as_str()).filter(|n| !n.is_empty()).collect();
        let ztunnel = members.iter().find(|one| one.kind == Kind::Ztunnel && one.node == node);
        return ztunnel.cloned().ok_or_else(|| Failure::unknown("node", node, known));
    }
    let serves = async |one: &Member| one.page(http::Method::GET, "/api/v1/about").await;
    if let [only] = members.as_slice() {
        serves(only).await?;
        return Ok(only.clone());
    }
    let mut why =
        failed!("no control plane runs in {}; give --node for a node's own pages", mesh.name());
    for control in members.iter().filter(|one| one.kind == Kind::Control) {
        match serves(control).await {
            Ok(_) => return Ok(control.clone()),
            Err(error) => why = error.into(),
        }
    }
    Err(why)
}

/// Prints the address, and opens it where there is a screen.
async fn show(address: SocketAddr, no_open: bool) {
    let url = format!("http://{address}{PAGES}");
    println!("{url}");
    let has_screen =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if no_open || !has_screen || !style::stderr_is_alive() {
        return;
    }
    let opened = tokio::process::Command::new("xdg-open")
        .arg(&url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !opened.await.is_ok_and(|status| status.success()) {
        crate::warn("no browser could be opened; open that address yourself");
    }
}

/// Carries connections of this machine there; ends only with a failure.
async fn forward(listener: TcpListener, member: Member) -> anyhow::Error {
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => return error.into(),
        };
        let way = member.admin.clone();
        tokio::spawn(carry(stream, way));
    }
}

async fn carry(mut stream: TcpStream, way: Way) {
    match way.open().await {
        Ok(mut there) => {
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
        }
        Err(error) => crate::warn(&format!("{error:#}")),
    }
}
