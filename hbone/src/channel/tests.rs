use std::path::Path;

use tonic::Request;
use tonic::service::{Interceptor, Routes};

use super::fake::Authority;
use super::*;

#[test]
fn server_urls_are_read_or_refused() {
    for (text, want) in [
        ("https://control.mesh:15012", Some("https://control.mesh:15012")),
        ("control.mesh:9", Some("https://control.mesh:9")),
        ("control.mesh", Some("https://control.mesh:15012")),
        ("https://[fd00::1]:15012/", Some("https://[fd00::1]:15012")),
        ("10.0.0.1", Some("https://10.0.0.1:15012")),
        ("http://control.mesh:15010", None),
        ("https://", None),
        ("https://host:0", None),
        ("https://host:99999", None),
        ("https://host:", None),
        ("https://user@host", None),
        ("https://host/path", None),
        ("https://ho st", None),
    ] {
        let read = text.parse::<ServerUrl>().ok().map(|url| url.to_string());
        assert_eq!(read.as_deref(), want, "{text}");
    }
}

#[tokio::test]
async fn a_verified_server_is_connected() {
    let authority = Authority::new();
    let server = authority.serve("localhost", Routes::default()).await;
    authority.control(&[server.port]).connect().await.expect("connected");
}

#[tokio::test]
async fn a_server_under_another_name_needs_the_alternative() {
    let authority = Authority::new();
    let server = authority.serve("istiod.mesh", Routes::default()).await;
    let mut config = authority.config(&[server.port]);
    let plain = ControlPlane::new(config.clone()).expect("roots").connect().await;
    assert!(matches!(plain, Err(ChannelError::Connect { .. })));
    config.alternative_hostname = Some("istiod.mesh".into());
    ControlPlane::new(config).expect("roots").connect().await.expect("by its other name");
}

#[tokio::test]
async fn a_server_of_a_stranger_is_refused() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = theirs.serve("localhost", Routes::default()).await;
    let error = ours.control(&[server.port]).connect().await.expect_err("refused");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn roots_are_read_again_for_each_connection() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = new.serve("localhost", Routes::default()).await;
    let control = old.control(&[server.port]);
    control.connect().await.expect_err("the new root is not known yet");
    let both = format!("{}\r\n\n{}\n", old.root_pem, new.root_pem);
    std::fs::write(old.root_file(), both).expect("written");
    control.connect().await.expect("the new root is known");
}

#[tokio::test]
async fn a_dead_server_is_passed_over() {
    let authority = Authority::new();
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
        listener.local_addr().expect("address").port()
    };
    let server = authority.serve("localhost", Routes::default()).await;
    authority.control(&[dead, server.port]).connect().await.expect("the second answers");
}

#[tokio::test]
async fn a_server_that_stalls_in_tls_is_timed_out_and_passed_over() {
    let authority = Authority::new();
    let stalled = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let server = authority.serve("localhost", Routes::default()).await;
    let mut config =
        authority.config(&[stalled.local_addr().expect("address").port(), server.port]);
    config.connect_timeout = Duration::from_millis(200);
    ControlPlane::new(config).expect("roots").connect().await.expect("the second answers");
}

#[test]
fn without_roots_the_client_does_not_start() {
    let authority = Authority::new();
    let mut config = authority.config(&[1]);
    for roots in [
        Roots::File(authority.directory.path().join("absent.pem")),
        Roots::Inline("-----BEGIN NOTHING-----".into()),
    ] {
        config.roots = roots;
        assert!(matches!(ControlPlane::new(config.clone()), Err(ChannelError::Roots(_))));
    }
    config.servers.clear();
    assert!(matches!(ControlPlane::new(config), Err(ChannelError::NoServer)));
}

#[test]
fn settings_name_roots_and_tokens() {
    assert_eq!(Roots::from_setting("SYSTEM"), Roots::System);
    assert_eq!(Roots::from_setting("/a/b.pem"), Roots::File("/a/b.pem".into()));
    assert!(matches!(Roots::from_setting("-----BEGIN CERTIFICATE-----\n"), Roots::Inline(_)));
    assert_eq!(Token::from_setting(""), Token::Absent);
    assert_eq!(Token::from_setting("/proc/self/stat"), Token::File("/proc/self/stat".into()));
    assert_eq!(Token::from_setting("abc.def"), Token::Text("abc.def".into()));
}

#[test]
fn every_call_carries_the_token_as_it_is_now() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("token");
    let mut credentials = credentials(&file);
    for (content, want) in [("one\n", Ok("Bearer one")), (" two", Ok("Bearer two"))] {
        std::fs::write(&file, content).expect("written");
        assert_eq!(authorization(&mut credentials).as_deref(), want.as_ref().map(|w| *w));
    }
    for (content, want) in
        [("", "is empty"), (" \n", "is empty"), ("a\nb", "no text that a header can carry")]
    {
        std::fs::write(&file, content).expect("written");
        let error = authorization(&mut credentials).expect_err(content);
        assert!(error.contains(want), "{content:?}: {error}");
        assert!(!error.contains("a\nb"), "a token is never shown");
    }
    std::fs::remove_file(&file).expect("removed");
    assert!(authorization(&mut credentials).expect_err("missing").contains("cannot be read"));
}

#[test]
fn roots_and_tokens_without_end_are_refused() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("long");
    // Files without content: their length is what counts.
    let long = |bytes| std::fs::File::create(&path).and_then(|file| file.set_len(bytes));
    long((1 << 20) + 1).expect("made");
    let error = Roots::File(path.clone()).read().expect_err("too long").to_string();
    assert!(error.contains("longer than 1048576 bytes"), "{error}");
    std::fs::write(&path, "a".repeat((64 << 10) + 1)).expect("written");
    assert!(authorization(&mut credentials(&path)).is_err());
    std::fs::write(&path, "a".repeat(64 << 10)).expect("written");
    assert!(authorization(&mut credentials(&path)).is_ok());
}

fn credentials(file: &Path) -> Credentials {
    Credentials::new(Token::File(file.to_owned()), "c1", []).expect("credentials")
}

fn authorization(credentials: &mut Credentials) -> Result<String, String> {
    let request = credentials.call(Request::new(())).map_err(|s| s.message().to_owned())?;
    assert_eq!(request.metadata().get("clusterid").expect("cluster"), "c1");
    let value = request.metadata().get("authorization").expect("token");
    assert!(value.is_sensitive());
    Ok(value.to_str().expect("text").to_owned())
}

#[test]
fn of_a_name_with_very_many_addresses_so_many_are_tried() {
    use super::dial::{MAX_ADDRESSES, places};
    let server: ServerUrl = "control.mesh".parse().expect("a URL");
    let address = |port| std::net::SocketAddr::from(([10, 0, 0, 1], port));
    let tried: Vec<u16> = places(&server, (1..1000).map(address)).map(|(_, a)| a.port()).collect();
    assert_eq!((tried.len(), tried.first(), tried.last()), (MAX_ADDRESSES, Some(&1), Some(&64)));
}
