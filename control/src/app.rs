//! All tasks, wired in one place.
//!
//! - `parts`: what they share, and what each of them is made of

mod parts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use observe::recorder::collector;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::parts::{Parts, replica};
use crate::config::Config;
use crate::dashboard::Dashboard;
use crate::engine::Tables;
use crate::kubernetes::leader::Candidate;
use crate::kubernetes::trust;
use crate::listen::{self, ServerCert};
use crate::status::{self, Board};

/// How long streams may take to end when the control plane stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The control plane.
#[derive(Debug)]
pub struct App;

/// A control plane that runs. Dropping it stops it at once; see [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    admin: SocketAddr,
    dashboard: Option<SocketAddr>,
    root_pem: String,
    board: Board,
    tables: Tables,
    stop: CancellationToken,
    server: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    /// Holds the Lease by which this replica may write to the API server.
    candidate: Option<JoinHandle<()>>,
}

impl App {
    /// Starts: opens the state, binds both listeners, reads the source. Returns when it
    /// listens; until the source has a state, discovery refuses streams.
    ///
    /// # Errors
    /// The state directory, the root, an address, the configuration.
    pub async fn start(config: Config) -> Result<Running> {
        Self::start_with(config, Registry::default()).await
    }

    /// The same, with a registry that has metrics of the process already.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_with(config: Config, mut registry: Registry) -> Result<Running> {
        config.check()?;
        let config = Arc::new(config);
        let parts = Parts::open(&config).await?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let address = listener.local_addr()?;
        let names = config.names();
        let certificate = ServerCert::new(parts.root.clone(), names)?;
        let stop = CancellationToken::new();

        let (updates, source) = mpsc::channel(4);
        let reading = parts.source(&config, updates)?;
        let (reported, reports) = mpsc::channel(256);
        // Without a Lease to hold there is only this one.
        let (leads, leading) = watch::channel(parts.client.is_none());
        if parts.client.is_some() {
            parts.fleet.answer_while(leading.clone());
        }
        let services = parts.services(&config, reported, leading.clone(), &mut registry);
        let (told, fetched) = mpsc::channel(16);
        let keeper = parts.keeper(&config, told, &mut registry);
        let site = parts.site(&config)?;
        let shown = leading.clone();
        let dashboard = parts.dashboard(&config, site.clone(), shown, &mut registry).await?;
        let dashboard_address = dashboard.as_ref().map(Dashboard::address);
        let registry = Arc::new(registry);
        let admin = parts.admin(&config, registry.clone(), site).await?;
        let admin_address = admin.local_addr()?;
        let stats = parts.stats(&config, registry).await?;

        let acceptor = certificate.acceptor()?;
        let connections = listen::accept(listener, acceptor, stop.clone());
        let serve = services.serve_with_incoming_shutdown(
            ReceiverStream::new(connections),
            stop.clone().cancelled_owned(),
        );
        let server = tokio::spawn(async move {
            if let Err(error) = serve.await {
                warn!(%error, "serving ended");
            }
        });
        info!(%address, admin = %admin_address, "control plane listens");
        let (board, state) = (parts.board.clone(), parts.state.clone());
        let (tables, fleet) = (parts.tables.clone(), parts.fleet.clone());
        let root_pem = parts.root.pem().to_owned();
        let trust = parts
            .client
            .clone()
            .map(|client| trust::run(client, root_pem.clone(), leading.clone()));
        let writers = parts.writers(&config).map(|writers| writers.run(leading));
        let candidate = parts.client.clone().map(|client| {
            let candidate = Candidate::new(client, &config.system_namespace, &replica());
            tokio::spawn(candidate.run(leads, stop.clone()))
        });
        let mut tasks = vec![
            tokio::spawn(reading),
            tokio::spawn(parts.run(source, reports, keeper, fetched)),
            tokio::spawn(status::write(board.clone(), state)),
            tokio::spawn(certificate.keep()),
            tokio::spawn(admin.run(stop.clone())),
            tokio::spawn(fleet.clone().follow(stop.clone())),
            tokio::spawn(collector::run(fleet.own().clone(), stop.clone())),
        ];
        tasks.extend(trust.map(tokio::spawn));
        tasks.extend(writers.map(tokio::spawn));
        tasks.extend(dashboard.map(|shown| shown.start(stop.clone())).unwrap_or_default());
        tasks.extend(stats.map(|stats| tokio::spawn(stats.run(stop.clone()))));
        let (admin, dashboard) = (admin_address, dashboard_address);
        Ok(Running {
            address,
            admin,
            dashboard,
            root_pem,
            board,
            tables,
            stop,
            server,
            tasks,
            candidate,
        })
    }
}

impl Running {
    /// The address of discovery, certificates and the node service.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the administrative pages.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The address of the dashboards for others than this machine, if they are served.
    pub fn dashboard(&self) -> Option<SocketAddr> {
        self.dashboard
    }

    /// The root bundle, PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// Conditions and problems.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What is served.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Waits until the source has a state to serve.
    pub async fn ready(&self) {
        let mut changes = self.board.subscribe();
        while !self.board.synced() && changes.changed().await.is_ok() {}
    }

    /// Stops: no new connections, streams end, proxies keep what they hold.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // Discovery streams end with the bell; a client that does not let go is left behind.
        for task in &self.tasks {
            task.abort();
        }
        if let Some(candidate) = &mut self.candidate
            && tokio::time::timeout(STOP_TIMEOUT, &mut *candidate).await.is_err()
        {
            candidate.abort();
        }
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.server).await.is_err() {
            self.server.abort();
        }
        info!("control plane stopped");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        self.server.abort();
        for task in self.tasks.iter().chain(&self.candidate) {
            task.abort();
        }
    }
}
