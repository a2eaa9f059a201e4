//! A waypoint on loopback: an authority, a client in a tunnel, applications behind HBONE.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use hbone::identity::SpiffeId;
use hbone::resolve::{Answer, Ask, Resolver, ResolverMetrics, Unresolved};
use hbone::tls::{CertificateRequest, WorkloadCertificate};
use hbone::tunnel::{
    Direct, Drain, HBONE_PORT, Incoming, OpenRequest, Pool, PoolMetrics, Tunnel, TunnelConfig,
    TunnelError, accept_tls, serve,
};
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload as wire;
use hbone::xds::Resource;
use prometheus_client::registry::Registry;
use prost::Message;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use waypoint::config::store::Kind;
use waypoint::engine::Engine;
use waypoint::listen::{Listener, ServerTls};
use waypoint::record::Metrics;
use waypoint::state::State;
use waypoint::upstream::connect::Mesh;
use waypoint::upstream::forward::Forwarder;
use waypoint::upstream::pool::Connections;

/// `ACCOUNT`, or `TRUST DOMAIN/ACCOUNT`.
pub(crate) fn id(account: &str) -> SpiffeId {
    let (domain, account) = account.split_once('/').unwrap_or(("cluster.local", account));
    format!("spiffe://{domain}/ns/shop/sa/{account}").parse().expect("an identity")
}

/// A root that signs what it is asked.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a root").pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    pub(crate) fn issue(&self, id: &SpiffeId) -> Arc<WorkloadCertificate> {
        let request = CertificateRequest::generate(id).expect("a request");
        let csr = CertificateSigningRequestParams::from_pem(request.pem()).expect("a CSR");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let uri = id.to_string().as_str().try_into().expect("ASCII");
        params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&csr.public_key, &self.issuer).expect("a leaf").pem();
        let chain = [leaf, self.root.clone()];
        Arc::new(WorkloadCertificate::from_chain(request, &chain).expect("a certificate"))
    }
}

/// Loopback addresses of one test process, so that port 15008 is free on each.
fn next_ip() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high.max(1), low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Knows no name.
struct Nameless;

type Answering = Pin<Box<dyn Future<Output = Result<Answer, Unresolved>> + Send>>;

impl Ask for Nameless {
    fn ask(&self, _: &str) -> Answering {
        Box::pin(async { Err(Unresolved::NoSuchName) })
    }
}

/// A waypoint that serves the Gateway `shop/waypoint`.
pub(crate) struct Mesh1 {
    pub(crate) authority: Authority,
    pub(crate) state: Arc<State>,
    stop: watch::Sender<bool>,
    address: SocketAddr,
    refused: Arc<AtomicUsize>,
    registry: Registry,
    pool: Pool,
}

pub(crate) const VIP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 7)), 80);

impl Mesh1 {
    pub(crate) async fn start() -> Self {
        let authority = Authority::new();
        let certificate = authority.issue(&id("waypoint"));
        let (_, current) = watch::channel(Some(certificate));
        let config = Arc::new(TunnelConfig::default());
        let mut registry = Registry::default();
        let pool = |config| Pool::new(Arc::new(Direct), config, PoolMetrics::default());
        let mesh = Mesh::new(pool(config.clone()), current.clone(), config.connect_timeout);
        let state: Arc<State> = Arc::default();
        let names = Resolver::new(Nameless, Handle::current(), ResolverMetrics::default());
        let engine = Arc::new(Engine {
            state: state.clone(),
            forwarder: Arc::new(Forwarder::new(Connections::new(Arc::new(mesh)), names)),
            metrics: Arc::new(Metrics::register(&mut registry)),
            identity: id("waypoint"),
            own_ip: None,
            checks: Arc::default(),
            accounts: waypoint::account::Accounts::default(),
        });
        let (raise, drain) = Drain::channel();
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = tcp.local_addr().expect("bound");
        let tls = ServerTls::default();
        let listener =
            Listener { engine, certificate: current, tls, config: config.clone(), drain };
        tokio::spawn(Arc::new(listener).run(tcp, TaskTracker::new()));
        let (refused, pool) = (Arc::default(), pool(config));
        let this = Self { authority, state, stop: raise, address, refused, registry, pool };
        this.configure(Kind::Gateway, "Gateway/shop/waypoint", &gateway());
        this
    }

    pub(crate) fn configure(&self, kind: Kind, name: &str, message: &impl Message) {
        let rejected = self.state.configure(kind, vec![resource(name, message)], &[]);
        assert_eq!(rejected, []);
    }

    pub(crate) fn address(&self, name: &str, r#type: wire::address::Type) {
        let message = wire::Address { r#type: Some(r#type) };
        let rejected = self.state.address(vec![resource(name, &message)], &[]);
        assert_eq!(rejected, []);
    }

    /// A service `name` with VIP port 80, bound to the waypoint.
    pub(crate) fn service(&self, name: &str, vip: IpAddr, app: wire::AppProtocol) {
        self.bound_service(name, vip, app, Some(waypoint_address("waypoint")));
    }

    /// The same, bound to whatever waypoint.
    pub(crate) fn bound_service(
        &self,
        name: &str,
        vip: IpAddr,
        app: wire::AppProtocol,
        waypoint: Option<wire::GatewayAddress>,
    ) {
        let vip = match vip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let service = wire::Service {
            name: name.to_owned(),
            namespace: "shop".to_owned(),
            hostname: format!("{name}.shop.svc.cluster.local"),
            addresses: vec![wire::NetworkAddress { address: vip, ..Default::default() }],
            ports: vec![wire::Port { service_port: 80, target_port: 80, app_protocol: app.into() }],
            waypoint,
            ..Default::default()
        };
        let key = format!("shop/{name}.shop.svc.cluster.local");
        self.address(&key, wire::address::Type::Service(service));
    }

    /// A pod of service `name`: an application that is only reached through its node proxy.
    pub(crate) async fn pod(&self, name: &str) -> Pod {
        self.slow_pod(name, Duration::ZERO).await
    }

    /// A pod whose node proxy takes its time before each handshake.
    pub(crate) async fn slow_pod(&self, name: &str, handshake: Duration) -> Pod {
        let pod = Pod::start(self, name, handshake).await;
        self.announce(&pod);
        pod
    }

    pub(crate) fn announce(&self, pod: &Pod) {
        let port = wire::Port {
            service_port: 80,
            target_port: u32::from(pod.app.port()),
            ..Default::default()
        };
        let key = format!("shop/{}.shop.svc.cluster.local", pod.service);
        let workload = wire::Workload {
            uid: pod.uid.clone(),
            name: pod.uid.clone(),
            namespace: "shop".to_owned(),
            addresses: vec![match pod.app.ip() {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            }],
            tunnel_protocol: wire::TunnelProtocol::Hbone.into(),
            service_account: pod.service.clone(),
            workload_name: pod.service.clone(),
            services: BTreeMap::from([(key, wire::PortList { ports: vec![port] })]),
            waypoint: Some(waypoint_address("waypoint")),
            ..Default::default()
        };
        self.address(&pod.uid, wire::address::Type::Workload(workload));
    }

    /// Stops the waypoint as a signal would.
    pub(crate) fn drain(&self) {
        self.stop.send_replace(true);
    }

    /// Tunnels that node proxies have refused, since their application does not listen.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// Where the waypoint listens.
    pub(crate) fn listens_on(&self) -> SocketAddr {
        self.address
    }

    /// The metrics page.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("text");
        text
    }

    /// A tunnel to `authority` through the waypoint, as `account`.
    pub(crate) async fn tunnel(
        &self,
        account: &str,
        authority: SocketAddr,
    ) -> Result<Tunnel, TunnelError> {
        let request = OpenRequest {
            certificate: self.authority.issue(&id(account)),
            expected: vec![id("waypoint")],
            peer: self.address,
            authority: authority.to_string(),
            headers: http::HeaderMap::new(),
        };
        self.pool.open(&request).await
    }
}

fn resource(name: &str, message: &impl Message) -> Resource {
    let bytes = message.encode_to_vec().into();
    Resource { name: name.to_owned(), version: String::new(), bytes }
}

/// The waypoint `shop/NAME` as services name it.
pub(crate) fn waypoint_address(name: &str) -> wire::GatewayAddress {
    let name = wire::NamespacedHostname {
        namespace: "shop".to_owned(),
        hostname: format!("{name}.shop.svc.cluster.local"),
    };
    wire::GatewayAddress {
        destination: Some(wire::gateway_address::Destination::Hostname(name)),
        hbone_mtls_port: 15008,
    }
}

pub(crate) fn gateway() -> pb::Gateway {
    pb::Gateway {
        namespace: "shop".to_owned(),
        name: "waypoint".to_owned(),
        addresses: vec![waypoint_address("waypoint")],
        trust_domains: vec!["cluster.local".to_owned()],
        forward_client_identity: false,
    }
}

/// A pod: an application's listener, and a node proxy on port 15008 that accepts only the
/// waypoint.
pub(crate) struct Pod {
    pub(crate) service: String,
    pub(crate) uid: String,
    pub(crate) app: SocketAddr,
    pub(crate) listener: Option<TcpListener>,
}

impl Pod {
    async fn start(mesh: &Mesh1, service: &str, handshake: Duration) -> Self {
        let ip = next_ip();
        let listener = TcpListener::bind((ip, 0)).await.expect("a port");
        let app = listener.local_addr().expect("bound");
        let hbone = TcpListener::bind((ip, HBONE_PORT)).await.expect("port 15008");
        let tls = mesh.authority.issue(&id(service)).server_config().expect("TLS");
        tokio::spawn(node_proxy(hbone, tls, handshake, mesh.refused.clone()));
        Self {
            service: service.to_owned(),
            uid: format!("pod-{ip}"),
            app,
            listener: Some(listener),
        }
    }

    /// Where its application listens; taken once.
    pub(crate) fn take(&mut self) -> TcpListener {
        self.listener.take().expect("not taken yet")
    }
}

async fn node_proxy(
    tcp: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    handshake: Duration,
    refused: Arc<AtomicUsize>,
) {
    let config = Arc::new(TunnelConfig::default());
    while let Ok((stream, peer)) = tcp.accept().await {
        let (tls, config, refused) = (tls.clone(), config.clone(), refused.clone());
        tokio::spawn(async move {
            tokio::time::sleep(handshake).await;
            let Ok(accepted) = accept_tls(stream, peer, tls, &config).await else { return };
            assert_eq!(accepted.peer, id("waypoint"), "only the waypoint's identity comes here");
            let (_raise, drain) = Drain::channel();
            let relay = move |incoming| relay(incoming, refused.clone());
            let _ = serve(accepted.stream, peer, &config, drain, relay).await;
        });
    }
}

async fn relay(incoming: Incoming, refused: Arc<AtomicUsize>) {
    let target: SocketAddr = incoming.authority().and_then(|a| a.parse().ok()).expect("an address");
    let Ok(mut app) = TcpStream::connect(target).await else {
        refused.fetch_add(1, Ordering::SeqCst);
        return incoming.refuse(http::StatusCode::SERVICE_UNAVAILABLE);
    };
    let mut tunnel = incoming.accept(http::HeaderMap::new()).expect("open");
    let _ = tokio::io::copy_bidirectional(&mut tunnel, &mut app).await;
}
