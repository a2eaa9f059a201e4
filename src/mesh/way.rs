//! How a process is reached: directly, inside a network namespace, or by a port-forward.
//!
//! A network namespace of another user is entered by nsenter(1), as `ambit exec` does; the
//! program inside is this one again (`ambit relay`), whose stdin and stdout are the connection.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::Api;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The way to a process.
#[derive(Clone)]
pub(crate) enum Way {
    /// An address that this process reaches.
    Direct(SocketAddr),
    /// An address in the network namespace of another process.
    Inside {
        /// That process.
        pid: i32,
        /// Arguments of nsenter(1) that lead there.
        enter: Vec<String>,
        /// The address there.
        address: SocketAddr,
    },
    /// A port of a pod.
    Forward {
        /// The API server.
        client: Client,
        /// The pod's namespace.
        namespace: String,
        /// The pod.
        pod: String,
        /// The port, on the pod's loopback address.
        port: u16,
    },
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string())
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(address) => write!(f, "{address}"),
            Self::Inside { pid, address, .. } => write!(f, "{address} of process {pid}"),
            Self::Forward { namespace, pod, port, .. } => {
                write!(f, "port {port} of pod {namespace}/{pod}")
            }
        }
    }
}

impl Way {
    /// The same process at another port.
    #[must_use]
    pub(crate) fn at(&self, port: u16) -> Self {
        let mut other = self.clone();
        match &mut other {
            Self::Direct(address) | Self::Inside { address, .. } => address.set_port(port),
            Self::Forward { port: own, .. } => *own = port,
        }
        other
    }

    /// Connects.
    ///
    /// # Errors
    /// If nobody listens there, or the way cannot be gone; it names the way.
    pub(crate) async fn open(&self) -> anyhow::Result<Box<dyn Stream>> {
        let opened = tokio::time::timeout(CONNECT, self.connect()).await;
        let opened = opened.unwrap_or_else(|_| bail!("not within {} s", CONNECT.as_secs()));
        opened.with_context(|| format!("cannot reach {self}"))
    }

    async fn connect(&self) -> anyhow::Result<Box<dyn Stream>> {
        match self {
            Self::Direct(address) => Ok(Box::new(TcpStream::connect(address).await?)),
            Self::Inside { enter, address, .. } => Ok(Box::new(Relay::start(enter, *address)?)),
            Self::Forward { client, namespace, pod, port } => {
                let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
                let mut forward = pods.portforward(pod, &[*port]).await.map_err(explain)?;
                let stream = forward.take_stream(*port).context("the API server gave no stream")?;
                // The task that carries it lives as long as the stream.
                Ok(Box::new(stream))
            }
        }
    }
}

fn explain(error: kube::Error) -> anyhow::Error {
    match &error {
        kube::Error::Api(status) if status.code == 403 => anyhow::anyhow!(
            "this user may not forward ports of pods: the right is create on pods/portforward"
        ),
        _ => error.into(),
    }
}

/// `ambit relay` in another network namespace.
struct Relay {
    read: ChildStdout,
    /// None once our side has said all.
    write: Option<ChildStdin>,
    _child: Child,
}

impl Relay {
    fn start(enter: &[String], address: SocketAddr) -> anyhow::Result<Self> {
        let mut child = Command::new("nsenter")
            .args(enter)
            .arg("--")
            .arg(std::env::current_exe()?)
            .arg("relay")
            .arg(address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("nsenter, of the package util-linux")?;
        let (read, write) = (child.stdout.take(), child.stdin.take());
        let (Some(read), Some(write)) = (read, write) else { bail!("nsenter has no pipes") };
        Ok(Self { read, write: Some(write), _child: child })
    }
}

impl AsyncRead for Relay {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(task, buffer)
    }
}

impl AsyncWrite for Relay {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.write {
            Some(write) => Pin::new(write).poll_write(task, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        match &mut self.write {
            Some(write) => Pin::new(write).poll_flush(task),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _task: &mut Task<'_>) -> Poll<io::Result<()>> {
        // Closing the pipe is what the relay hears.
        self.write = None;
        Poll::Ready(Ok(()))
    }
}

/// `ambit relay ADDRESS`: stdin and stdout are a connection, until its end.
///
/// # Errors
/// If nobody listens there, or the connection breaks.
pub(crate) fn relay(address: SocketAddr) -> anyhow::Result<()> {
    let stream = std::net::TcpStream::connect_timeout(&address, CONNECT)?;
    let mut write = stream.try_clone()?;
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut write);
        // Our client has said all; what comes back is still wanted.
        let _ = write.shutdown(std::net::Shutdown::Write);
    });
    let mut out = io::stdout().lock();
    let (mut read, mut buffer) = (stream, vec![0; 64 << 10]);
    loop {
        match read.read(&mut buffer)? {
            0 => return Ok(()),
            count => {
                out.write_all(&buffer[..count])?;
                out.flush()?;
            }
        }
    }
}
