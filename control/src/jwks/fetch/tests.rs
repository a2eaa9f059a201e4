//! Against real servers on loopback, which has to be permitted by name.

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const SOON: Duration = Duration::from_secs(10);

/// A key set with a single key.
pub(crate) fn key_set(id: &str) -> String {
    crate::jwks::set::tests::jwks(jsonwebtoken::Algorithm::ES256, id).to_string()
}

pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Answers every connection with `answer` once it has seen a request; its port.
pub(crate) async fn serve(answer: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_one(stream, answer.clone()));
        }
    });
    port
}

async fn answer_one<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: String) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    String::from_utf8_lossy(&head).into_owned()
}

pub(crate) fn fetcher(local: &[&str]) -> Fetcher {
    let local: Vec<String> = local.iter().map(|host| (*host).to_owned()).collect();
    Fetcher::with_roots(RootCertStore::empty(), &local)
}

async fn fetch(fetcher: &Fetcher, url: &str) -> Result<Read, FetchError> {
    let url = KeySetUrl::new(url).expect("an URL");
    tokio::time::timeout(SOON, fetcher.fetch(&url, Duration::from_secs(1))).await.expect("an end")
}

#[tokio::test]
async fn only_a_key_set_at_the_url_itself_is_taken() {
    let good = ok(&key_set("one"));
    let other = serve(good.clone()).await;
    let to_other = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n"
    );
    let huge = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
        MAX_KEY_SET + 1,
        " ".repeat(MAX_KEY_SET + 1)
    );
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(MAX_KEY_SET * 2));
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(MAX_HEADER * 2));
    for (case, answer, want) in [
        ("a key set", good.clone(), "ok"),
        ("without a length", good.replacen("Content-Length", "x-length", 1), "ok"),
        ("a redirect", to_other.clone(), "redirect"),
        ("a lasting redirect", to_other.replacen("302", "308", 1), "redirect"),
        ("not modified", "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(), "redirect"),
        ("nothing there", good.replacen("200 OK", "404 Not Found", 1), "status"),
        ("created", good.replacen("200", "201", 1), "status"),
        ("broken", good.replacen("200", "500", 1), "status"),
        ("another coding", good.replacen("\r\n", "\r\nContent-Encoding: gzip\r\n", 1), "encoded"),
        ("too long, and says so", huge, "set"),
        ("too long, and says nothing", endless, "set"),
        ("a long head", head, "http"),
        ("no key set", ok("<html>"), "set"),
        ("cut off", good.replacen("Content-Length: ", "Content-Length: 9", 1), "http"),
        ("nothing at all", String::new(), "http"),
        ("no HTTP", "SSH-2.0-x\r\n".to_owned(), "http"),
    ] {
        let port = serve(answer).await;
        let outcome =
            fetch(&fetcher(&["127.0.0.1"]), &format!("http://127.0.0.1:{port}/keys")).await;
        let told = outcome.as_ref().map_or_else(FetchError::label, |_| "ok");
        assert_eq!(told, want, "{case}: {outcome:?}");
        if case == "a redirect" {
            let said = outcome.expect_err("refused").to_string();
            assert!(said.contains("302 Found; redirects are not followed"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_request_names_host_and_path_and_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        answer_one(stream, ok(&key_set("one"))).await
    });
    let url = format!("http://LocalHost:{port}/a/b?c=d");
    fetch(&fetcher(&["localhost"]), &url).await.expect("a key set");
    let head = served.await.expect("served").to_lowercase();
    assert!(head.starts_with("get /a/b?c=d http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: localhost:{port}\r\n")), "{head}");
    for secret in ["authorization", "cookie"] {
        assert!(!head.contains(secret), "{head}");
    }
}

#[tokio::test]
async fn a_slow_server_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let url = KeySetUrl::new(&format!("http://127.0.0.1:{port}/")).expect("an URL");
    // One that is silent, and one that drips.
    tokio::spawn(async move {
        let (_silent, _) = listener.accept().await.expect("a connection");
        let (mut dripping, _) = listener.accept().await.expect("a connection");
        let _ = dripping.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
        while dripping.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    for case in ["silent", "dripping"] {
        let began = std::time::Instant::now();
        let outcome = fetcher(&["127.0.0.1"]).fetch(&url, Duration::from_millis(200)).await;
        assert_eq!(outcome.map_or_else(|e| e.label(), |_| "ok"), "timeout", "{case}");
        assert!(began.elapsed() < SOON, "{case}");
    }
}

/// CVE-2026-41413 and its like: what the name means decides, not how it is written.
#[tokio::test]
async fn nothing_of_this_machine_is_dialled_unless_its_name_is_permitted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    for (case, host) in [
        ("by address", "127.0.0.1"),
        ("by name", "localhost"),
        ("mapped", "[::ffff:127.0.0.1]"),
        ("unspecified", "0.0.0.0"),
        ("metadata", "169.254.169.254"),
        ("link-local", "[fe80::1]"),
    ] {
        let url = format!("http://{host}:{port}/latest/meta-data/");
        let error = fetch(&fetcher(&["issuer.example"]), &url).await.expect_err(case);
        assert_eq!(error.label(), "address", "{case}: {error}");
        assert!(error.to_string().contains("--jwks-local-host"), "{case}: {error}");
    }
    let dialled = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(dialled.is_err(), "somebody was dialled");
    let unknown = fetch(&fetcher(&[]), "http://no-such-host.invalid/").await.expect_err("unknown");
    assert_eq!(unknown.label(), "resolve");
}

#[tokio::test]
async fn a_server_proves_its_name_by_a_certificate_of_a_known_root() {
    let key = KeyPair::generate().expect("a key");
    let made = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = made.self_signed(&key).expect("a certificate");
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der)
        .expect("a server");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer_one(stream, ok(&key_set("one"))).await;
            }
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a root");
    let local = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let knows = Fetcher::with_roots(roots, &local);
    let stranger = Fetcher::with_roots(RootCertStore::empty(), &local);
    let by_name = format!("https://localhost:{port}/keys");
    let by_address = format!("https://127.0.0.1:{port}/keys");
    let label = |outcome: Result<Read, FetchError>| outcome.map_or_else(|e| e.label(), |_| "ok");
    assert_eq!(label(fetch(&knows, &by_name).await), "ok");
    assert_eq!(label(fetch(&stranger, &by_name).await), "connect", "of no known root");
    assert_eq!(label(fetch(&knows, &by_address).await), "connect", "of another name");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let not_tls = format!("https://localhost:{}/", listener.local_addr().expect("bound").port());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_u8().await;
    });
    assert_eq!(label(fetch(&knows, &not_tls).await), "connect", "no TLS");
}
