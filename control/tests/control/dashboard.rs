//! The dashboards for others than this machine: by a certificate of the readers' authority.

use std::path::PathBuf;
use std::time::Duration;

use control::limits::{
    DASHBOARD_HEAD_TIMEOUT, HANDSHAKE_TIMEOUT, MAX_DASHBOARD_BODY, MAX_DASHBOARD_CONNECTIONS,
    MAX_DASHBOARD_CONNECTIONS_OF_ONE, MAX_DASHBOARD_FILE, MAX_DASHBOARD_HEAD,
};
use control::{App, Config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::reader::{Authority, Reader, ask, ask_on};
use crate::support::{Mesh, PATIENCE, SHOP};

/// A mesh whose dashboards are for readers of an authority.
struct Shown {
    mesh: Mesh,
    servers: Authority,
    readers: Authority,
}

impl Shown {
    /// Files of both authorities; nothing runs yet.
    fn prepare() -> Self {
        let mesh = Mesh::prepare(&[("shop.yaml", SHOP)]);
        let (servers, readers) = (Authority::new("servers"), Authority::new("readers"));
        let shown = Self { mesh, servers, readers };
        let (certificate, key) = shown.servers.server("localhost");
        shown.write("tls.crt", &certificate);
        shown.write("tls.key", &key);
        shown.write("readers.crt", &shown.readers.pem());
        shown
    }

    async fn start() -> Self {
        let mut shown = Self::prepare();
        let config = shown.config();
        shown.mesh.begin_with(config).await;
        shown.mesh.running().ready().await;
        shown
    }

    fn path(&self, name: &str) -> PathBuf {
        self.mesh.directory().with_file_name(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn config(&self) -> Config {
        let mut config = self.mesh.config();
        config.dashboard.dashboard_listen = Some(([127, 0, 0, 1], 0).into());
        config.dashboard.dashboard_certificate = Some(self.path("tls.crt"));
        config.dashboard.dashboard_key = Some(self.path("tls.key"));
        config.dashboard.dashboard_client_ca = Some(self.path("readers.crt"));
        config
    }

    /// Somebody who trusts the server, with a certificate of `authority` or none.
    fn reader(&self, authority: Option<&Authority>) -> Reader {
        let address = self.mesh.running().dashboard().expect("served");
        Reader::new(address, &self.servers, authority.map(|a| a.client("alice")))
    }

    /// Why control does not start with this.
    async fn refused(&self, config: Config) -> String {
        let refused = App::start(config).await.expect_err("refused");
        format!("{refused:#}")
    }
}

#[tokio::test]
async fn who_has_a_certificate_of_the_readers_authority_reads_and_nobody_else() {
    let shown = Shown::start().await;
    let reader = shown.reader(Some(&shown.readers));
    let about = reader.get("/api/v1/about").await;
    assert_eq!(about.status, 200, "{about:?}");
    assert!(about.text.contains(r#""scope":"fleet""#), "{}", about.text);
    assert_eq!(about.header("cache-control"), "no-store");
    assert_eq!(about.header("cross-origin-resource-policy"), "same-origin");
    assert_eq!(reader.tls12().get("/api/v1/about").await.status, 200, "TLS 1.2 is good");

    let stranger = Authority::new("readers");
    for (case, reader) in [
        ("without a certificate", shown.reader(None)),
        ("with a stranger's", shown.reader(Some(&stranger))),
        ("with the server's own", shown.reader(Some(&shown.servers))),
        ("without one, TLS 1.2", shown.reader(None).tls12()),
        ("with a stranger's, TLS 1.2", shown.reader(Some(&stranger)).tls12()),
    ] {
        let refused = reader.try_get("/ui/").await;
        assert!(refused.is_err(), "{case}: {refused:?}");
    }
    let metrics = shown.mesh.admin("/metrics").await;
    let counted = r#"ambit_dashboard_refusals_total{reason="handshake"} 5"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn nothing_is_said_without_tls() {
    let shown = Shown::start().await;
    let address = shown.mesh.running().dashboard().expect("served");
    let mut tcp = TcpStream::connect(address).await.expect("connected");
    tcp.write_all(b"GET /api/v1/about HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    let mut heard = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, tcp.read_to_end(&mut heard)).await.expect("it ends");
    assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
}

#[tokio::test]
async fn the_pages_and_their_api_are_served_and_nothing_else() {
    let shown = Shown::start().await;
    let reader = shown.reader(Some(&shown.readers));
    for path in ["/debug/config", "/debug/status", "/debug/mesh", "/metrics", "/ready", "/config"] {
        assert_eq!(reader.get(path).await.status, 404, "{path}");
    }
    assert_eq!(reader.get("/api/v1/nothing").await.status, 404);
    assert_eq!(reader.get("/").await.header("location"), "/ui/");
    let head = reader.ask("HEAD", "/api/v1/about", &[], "").await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in ["/api/v1/about", "/ui/", "/ui/sign-in"] {
            assert_eq!(reader.ask(method, path, &[], "").await.status, 405, "{method} {path}");
        }
    }
    for (name, value, want) in [
        ("sec-fetch-site", "same-origin", 200),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", "https://evil.example", 403),
    ] {
        let answer = reader.ask("GET", "/api/v1/about", &[(name, value)], "").await;
        assert_eq!(answer.status, want, "{name}: {value}");
    }
}

#[tokio::test]
async fn what_would_let_in_everybody_or_cannot_be_served_refuses_the_start() {
    let shown = Shown::prepare();
    let mut nobody = shown.config();
    nobody.dashboard.dashboard_client_ca = None;
    let said = shown.refused(nobody).await;
    assert!(said.contains("needs --dashboard-client-ca or --dashboard-tokens"), "{said}");

    let mut plain = shown.config();
    plain.dashboard.dashboard_key = None;
    let said = shown.refused(plain).await;
    assert!(said.contains("by TLS only"), "{said}");

    // The mesh's own root, which is made at the first start.
    shown.refused(shown.config_with("tls.key", "absent.key")).await;
    let mut mesh = shown.config();
    mesh.dashboard.dashboard_client_ca = Some(shown.mesh.state().join("root-cert.pem"));
    let said = shown.refused(mesh).await;
    assert!(said.contains("root of the mesh, which signs for every workload"), "{said}");

    let (certificate, other) = shown.servers.server("localhost");
    shown.write("other.key", &other);
    shown.write("empty", "");
    shown.write("large", &"x".repeat(MAX_DASHBOARD_FILE + 1));
    shown.write("encrypted", &certificate);
    for (file, with, wanted) in [
        ("tls.key", "other.key", "is not the key of"),
        ("tls.key", "encrypted", "holds no private key"),
        ("tls.key", "absent", "--dashboard-key"),
        ("tls.crt", "empty", "holds no certificate"),
        ("tls.crt", "large", "more than 1048576 bytes"),
        ("readers.crt", "empty", "--dashboard-client-ca"),
    ] {
        let said = shown.refused(shown.config_with(file, with)).await;
        assert!(said.contains(wanted) && said.contains(with), "{file}: {said}");
    }
}

impl Shown {
    /// The configuration with another file in a file's place.
    fn config_with(&self, file: &str, with: &str) -> Config {
        let (mut config, with) = (self.config(), Some(self.path(with)));
        match file {
            "tls.crt" => config.dashboard.dashboard_certificate = with,
            "tls.key" => config.dashboard.dashboard_key = with,
            _ => config.dashboard.dashboard_client_ca = with,
        }
        config
    }
}

#[tokio::test]
async fn new_files_are_in_force_soon_and_broken_ones_change_nothing() {
    let shown = Shown::start().await;
    let reader = shown.reader(Some(&shown.readers));
    let serial = reader.serial().await.expect("connects");

    // A key before its certificate, as somebody may write them.
    let (certificate, key) = shown.servers.server("localhost");
    shown.write("tls.key", &key);
    shown.write("readers.crt", "no PEM");
    sleep(Duration::from_secs(3)).await;
    assert_eq!(reader.serial().await.expect("the old one is in force"), serial);
    assert_eq!(reader.get("/api/v1/about").await.status, 200);

    let successor = Authority::new("their successor");
    shown.write("tls.crt", &certificate);
    shown.write("readers.crt", &successor.pem());
    let next = shown.reader(Some(&successor));
    let until = async {
        while next.try_get("/api/v1/about").await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, until).await.expect("the new ones are in force");
    assert_ne!(next.serial().await.expect("connects"), serial);
    assert!(reader.try_get("/api/v1/about").await.is_err(), "who was signed for before");
}

#[tokio::test]
async fn one_address_takes_no_others_connections_and_all_have_a_limit() {
    let shown = Shown::start().await;
    let address = shown.mesh.running().dashboard().expect("served");
    let from = async |last: u8| {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, last], 0).into()).expect("bound");
        socket.connect(address).await.expect("connected")
    };
    let mut held = Vec::new();
    for _ in 0..MAX_DASHBOARD_CONNECTIONS_OF_ONE {
        held.push(from(2).await);
    }
    let mut more = from(2).await;
    let closed = timeout(PATIENCE, more.read(&mut [0; 1])).await.expect("in time");
    assert!(matches!(closed, Ok(0) | Err(_)), "one more of it is closed");
    let reader = shown.reader(Some(&shown.readers));
    assert_eq!(reader.get("/api/v1/about").await.status, 200, "others have room");

    for last in 3..6 {
        for _ in 0..MAX_DASHBOARD_CONNECTIONS_OF_ONE {
            held.push(from(last).await);
        }
    }
    assert_eq!(held.len(), MAX_DASHBOARD_CONNECTIONS);
    let mut next = std::pin::pin!(reader.try_get("/api/v1/about"));
    let waits = timeout(Duration::from_millis(500), next.as_mut()).await;
    assert!(waits.is_err(), "all places are taken");
    held.clear();
    timeout(PATIENCE, next).await.expect("its turn has come").expect("answered");
}

#[tokio::test]
async fn who_says_nothing_or_too_much_is_left() {
    let shown = Shown::start().await;
    let address = shown.mesh.running().dashboard().expect("served");
    let mut silent = TcpStream::connect(address).await.expect("connected");
    let reader = shown.reader(Some(&shown.readers));

    let large = "x".repeat(2 * MAX_DASHBOARD_HEAD);
    let refused = reader.ask("GET", "/api/v1/about", &[("cookie", &large)], "").await;
    assert_eq!(refused.status, 431);
    let body = "x".repeat(MAX_DASHBOARD_BODY + 1);
    let refused = reader.ask("POST", "/ui/sign-in", &[], &body).await;
    assert_eq!(refused.status, 413);

    let mut idle = reader.connect().await.expect("connects");
    idle.write_all(b"GET /api/v1/ab").await.expect("sent");
    let mut heard = Vec::new();
    let ends = timeout(DASHBOARD_HEAD_TIMEOUT + PATIENCE, idle.read_to_end(&mut heard)).await;
    // Whoever is left need not hear how.
    let _ = ends.expect("half a head is not waited for");
    let ends = timeout(HANDSHAKE_TIMEOUT + PATIENCE, silent.read(&mut [0; 1])).await;
    assert!(matches!(ends.expect("a handshake has a deadline"), Ok(0) | Err(_)));
}

#[tokio::test]
async fn what_happens_is_heard_as_it_happens() {
    let shown = Shown::start().await;
    let reader = shown.reader(Some(&shown.readers));
    let mut tls = reader.connect().await.expect("connects");
    let mut heard = String::new();
    ask_on(&mut tls, "GET", "/api/v1/live", &[], "").await;
    let ticks = async {
        let mut piece = [0; 1024];
        while heard.matches("event: tick").count() < 2 {
            let n = tls.read(&mut piece).await.expect("read");
            assert_ne!(n, 0, "{heard}");
            heard.push_str(&String::from_utf8_lossy(&piece[..n]));
        }
    };
    timeout(PATIENCE, ticks).await.expect("it ticks");
    let whole = ask(reader.connect().await.expect("connects"), "GET", "/api/v1/about", &[], "");
    assert_eq!(whole.await.expect("answered").status, 200);
}
