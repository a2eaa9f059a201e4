pub(crate) mod authority;

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, SanType};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::identity::{SpiffeId, TrustDomain};
use authority::{Authority, uri};

fn id(text: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/shop/sa/{text}").parse().expect("identity")
}

/// Shakes hands over a pipe and sends a byte both ways; the errors of both sides as text.
async fn handshake(
    client: &WorkloadCertificate,
    expected: &[SpiffeId],
    server: &WorkloadCertificate,
) -> Result<rustls::NamedGroup, String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let acceptor = tokio_rustls::TlsAcceptor::from(server.server_config().expect("config"));
    let connector =
        tokio_rustls::TlsConnector::from(client.client_config(expected).expect("config"));
    let accept = async {
        let mut tls = acceptor.accept(far).await.map_err(|e| format!("server: {e}"))?;
        let byte = tls.read_u8().await.map_err(|e| format!("server: {e}"))?;
        tls.write_u8(byte).await.map_err(|e| format!("server: {e}"))?;
        let group = tls.get_ref().1.negotiated_key_exchange_group();
        Ok::<_, String>(group.expect("a group").name())
    };
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    let connect = async {
        let mut tls = connector.connect(name, near).await.map_err(|e| format!("client: {e}"))?;
        tls.write_u8(7).await.map_err(|e| format!("client: {e}"))?;
        tls.flush().await.map_err(|e| format!("client: {e}"))?;
        tls.read_u8().await.map_err(|e| format!("client: {e}"))
    };
    match tokio::join!(accept, connect) {
        (Ok(group), Ok(7)) => Ok(group),
        (server, client) => Err(format!("{server:?} {client:?}")),
    }
}

#[tokio::test]
async fn both_sides_prove_themselves_with_a_post_quantum_key_exchange() {
    let ca = Authority::new();
    let web = ca.issue(&id("web"), |_| {}).expect("web");
    let store = ca.issue(&id("store"), |_| {}).expect("store");
    let group = handshake(&web, &[id("store")], &store).await.expect("handshake");
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn a_server_that_is_not_expected_is_refused() {
    let ca = Authority::new();
    let web = ca.issue(&id("web"), |_| {}).expect("web");
    let store = ca.issue(&id("store"), |_| {}).expect("store");
    let error = handshake(&web, &[id("other")], &store).await.expect_err("refused");
    assert!(error.contains("the server is spiffe://cluster.local/ns/shop/sa/store"), "{error}");
    let error = handshake(&web, &[], &store).await.expect_err("refused");
    assert!(error.contains("nobody"), "{error}");
}

#[tokio::test]
async fn a_certificate_signed_by_a_stranger_is_refused_on_both_sides() {
    let (ca, stranger) = (Authority::new(), Authority::new());
    let web = ca.issue(&id("web"), |_| {}).expect("web");
    let fake = stranger.issue(&id("store"), |_| {}).expect("fake");
    let error = handshake(&web, &[id("store")], &fake).await.expect_err("refused");
    assert!(error.contains("BadSignature"), "{error}");
    let error = handshake(&fake, &[id("web")], &web).await.expect_err("refused");
    assert!(error.contains("server: "), "{error}");
}

#[tokio::test]
async fn a_client_of_another_trust_domain_is_refused() {
    let ca = Authority::new();
    let store = ca.issue(&id("store"), |_| {}).expect("store");
    for domain in ["cluster.local.evil", "cluster.loca", "evil"] {
        let foreign = format!("spiffe://{domain}/ns/shop/sa/web").parse().expect("id");
        let foreign = ca.issue(&foreign, |_| {}).expect("foreign");
        let error = handshake(&foreign, &[id("store")], &store).await.expect_err("refused");
        assert!(error.contains("outside of trust domain cluster.local"), "{domain}: {error}");
    }
}

#[tokio::test]
async fn a_client_of_an_alias_is_accepted_by_whoever_names_it() {
    let ca = Authority::new();
    let store = ca.issue(&id("store"), |_| {}).expect("store");
    let aliases = [TrustDomain::new("old.example").expect("a domain")];
    let config = store.server_config_with(&aliases).expect("config");
    for (domain, accepted) in
        [("cluster.local", true), ("old.example", true), ("old.example.evil", false)]
    {
        let client = format!("spiffe://{domain}/ns/shop/sa/web").parse().expect("id");
        let client = ca.issue(&client, |_| {}).expect("client");
        let (near, far) = tokio::io::duplex(64 * 1024);
        let connector = client.client_config(&[id("store")]).expect("config");
        let connector = tokio_rustls::TlsConnector::from(connector);
        let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
        let acceptor = tokio_rustls::TlsAcceptor::from(config.clone());
        let (server, _client) = tokio::join!(acceptor.accept(far), connector.connect(name, near));
        assert_eq!(server.is_ok(), accepted, "{domain}: {:?}", server.err());
    }
}

#[tokio::test]
async fn a_leaf_that_is_not_for_its_use_is_refused() {
    type Change = fn(&mut CertificateParams);
    let ca = Authority::new();
    let web = ca.issue(&id("web"), |_| {}).expect("web");
    let cases: [(&str, Change); 4] = [
        ("no usage", |p| p.extended_key_usages.clear()),
        ("client only", |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
        ("expired", |p| p.not_after = rcgen::date_time_ymd(2020, 1, 1)),
        ("future", |p| p.not_before = rcgen::date_time_ymd(2999, 1, 1)),
    ];
    for (case, change) in cases {
        let store = ca.issue(&id("store"), change).expect("issued");
        assert!(handshake(&web, &[id("store")], &store).await.is_err(), "{case}");
    }
    let ca_leaf = ca
        .issue(&id("store"), |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
        .expect("issued");
    assert!(handshake(&web, &[id("store")], &ca_leaf).await.is_err(), "may sign others");
}

#[test]
fn a_leaf_with_other_names_than_one_identity_is_no_certificate() {
    let ca = Authority::new();
    let two = ca.issue(&id("web"), |p| p.subject_alt_names.push(uri("spiffe://a/ns/b/sa/c")));
    assert!(matches!(two, Err(CertificateError::Leaf(LeafError::UriCount(2)))), "{two:?}");
    let none = ca.issue(&id("web"), |p| p.subject_alt_names.clear());
    assert!(matches!(none, Err(CertificateError::Leaf(LeafError::UriCount(0)))), "{none:?}");
    let mail = SanType::Rfc822Name("a@b".try_into().expect("ascii"));
    let mail = ca.issue(&id("web"), |p| p.subject_alt_names.push(mail));
    assert!(matches!(mail, Err(CertificateError::Leaf(LeafError::OtherName))), "{mail:?}");
    let other = ca.issue(&id("web"), |p| p.subject_alt_names = vec![uri(&id("x").to_string())]);
    assert!(matches!(other, Err(CertificateError::WrongIdentity { .. })), "{other:?}");
}

#[test]
fn an_answer_without_roots_is_no_certificate() {
    let request = CertificateRequest::generate(&id("web")).expect("request");
    let one = WorkloadCertificate::from_chain(request, &[Authority::new().pem]);
    assert!(matches!(one, Err(CertificateError::TooShort(1))), "{one:?}");
    assert!(control_plane_client_config(b"").is_err());
    assert!(control_plane_client_config(b"garbage").is_err());
}

#[test]
fn roots_are_read_whatever_their_line_ends() {
    let pem = Authority::new().pem;
    for text in [format!("{pem}\n\n"), pem.replace('\n', "\r\n"), pem.trim_end().to_owned()] {
        assert!(control_plane_client_config(text.as_bytes()).is_ok(), "{text:?}");
    }
}

#[test]
fn a_certificate_is_renewed_at_half_of_its_own_life() {
    let certificate = Authority::new()
        .issue(&id("web"), |p| {
            p.not_before = rcgen::date_time_ymd(2026, 1, 1);
            p.not_after = rcgen::date_time_ymd(2026, 1, 3);
        })
        .expect("issued");
    let half = certificate.refresh_at().duration_since(certificate.not_before()).expect("later");
    assert_eq!(half.as_secs(), 24 * 3600);
    let config = certificate.server_config().expect("config");
    assert!(Arc::ptr_eq(&config, &certificate.server_config().expect("config")), "made once");
}
