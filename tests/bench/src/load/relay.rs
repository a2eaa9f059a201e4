//! A service that asks the next one: it passes bytes on both ways, and nothing else.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::serve::{listen, serve};

/// Passes every connection on to `next` until it is killed.
pub(super) async fn run(port: u16, next: SocketAddr) -> anyhow::Result<()> {
    serve(listen(port)?, move |mut near| async move {
        let mut far = TcpStream::connect(next).await?;
        far.set_nodelay(true)?;
        copy_bidirectional(&mut near, &mut far).await.map(drop)
    })
    .await
}
