//! Who gets which certificate, and who gets in with one.

#[path = "support/peer.rs"]
mod peer;

use std::net::SocketAddr;
use std::sync::Arc;

use hbone::ca::CaError;
use hbone::channel::Token;
use hbone::tls::{CertificateRequest, WorkloadCertificate};
use peer::{HOUR, authority, certificate, id, status, tunnel};
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType,
};
use testbed::Testbed;
use testbed::mesh::Pair;

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");

/// A certificate that only the owner of some root could make.
fn forged(root: &str, key: &str, identity: &str) -> anyhow::Result<WorkloadCertificate> {
    let request = CertificateRequest::generate(&id(identity)?)?;
    let signing = rcgen::CertificateSigningRequestParams::from_pem(request.pem())?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(identity.try_into()?)];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let issuer = Issuer::from_ca_cert_pem(root, KeyPair::from_pem(key)?)?;
    let leaf = params.signed_by(&signing.public_key, &issuer)?.pem();
    Ok(WorkloadCertificate::from_chain(request, &[leaf, root.to_owned()])?)
}

testbed::scenario! {
    async fn a_node_gets_certificates_for_its_own_pods_only(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let own = certificate(&mesh, &web).await?;
        assert_eq!(own.identity().to_string(), web.identity());
        let node_a = || Ok::<_, anyhow::Error>(Token::File(mesh.node("node-a")?.credential()));
        for (case, token, wanted) in [
            ("a pod of another node", node_a()?, store.identity()),
            ("an account without pods", node_a()?, web.identity().replace("web", "admin")),
            ("another trust domain", node_a()?, web.identity().replace("cluster.", "evil.")),
            ("a token of nobody", Token::Text("e30.e30.e30".into()), web.identity()),
            ("no token", Token::Absent, web.identity()),
        ] {
            let refused = authority(&mesh, token)?.fetch(&id(&wanted)?, true, HOUR).await;
            assert!(matches!(refused, Err(CaError::Refused { .. })), "{case}: {refused:?}");
        }
        // A pod that is gone has no identity any more.
        web.delete().await?;
        testbed::eventually("the deleted pod's identity is refused", testbed::mesh::PATIENCE,
            async || certificate(&mesh, &web).await.is_err()).await?;
        Ok(())
    }

    async fn a_tunnel_leads_to_this_pod_s_own_programs_only(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, service } = Pair::enrolled(&bed, AMBIT).await?;
        let other = mesh.pod("shop/other").on("node-b").echoing().enrolled().await?;
        let certificate = Arc::new(certificate(&mesh, &web).await?);
        for (case, authority, wanted) in [
            ("its own port", store.at4(7).to_string(), 200),
            ("its own port by service name", format!("{}:80", service.host), 200),
            ("another pod's address", other.at4(7).to_string(), 400),
            ("the node", SocketAddr::new(store.node().ip4().into(), 7).to_string(), 400),
            ("loopback", "127.0.0.1:7".into(), 400),
            ("a service it does not belong to", "web.shop.svc.cluster.local:80".into(), 503),
            ("the tunnel's own port", store.at4(15008).to_string(), 503),
            ("the outbound port", store.at4(15001).to_string(), 503),
            ("port 0", store.at4(0).to_string(), 503),
            ("a port nobody listens on", store.at4(9).to_string(), 503),
        ] {
            let opened = tunnel(&certificate, &store, &authority).await;
            assert_eq!(status(&opened), Some(wanted), "{case}");
        }
        // Nothing of it stops the others.
        assert_eq!(web.is_seen_as(store.at4(7)).await?, web.ip4().to_string());
        Ok(())
    }

    async fn strangers_do_not_get_in(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let root = std::fs::read_to_string(mesh.control().root_certificate())?;
        let key = std::fs::read_to_string(mesh.control().state().join("root-key.pem"))?;
        let stranger_key = KeyPair::generate()?;
        let mut stranger = CertificateParams::default();
        stranger.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let stranger_root = stranger.self_signed(&stranger_key)?.pem();
        let authority = store.at4(7).to_string();
        // What our own key signs is let in, so that the refusals below mean something.
        let good = Arc::new(forged(&root, &key, &web.identity())?);
        assert_eq!(status(&tunnel(&good, &store, &authority).await), Some(200));
        let outside = web.identity().replace("cluster.local", "evil.local");
        for (case, certificate) in [
            ("from outside the trust domain", forged(&root, &key, &outside)?),
            ("signed by a stranger",
                forged(&stranger_root, &stranger_key.serialize_pem(), &web.identity())?),
        ] {
            let opened = tunnel(&Arc::new(certificate), &store, &authority).await;
            assert!(opened.is_err(), "{case}");
        }
        // Bytes that are no TLS at all.
        let raw = std::net::TcpStream::connect(store.at4(15008))?;
        std::io::Write::write_all(&mut &raw, b"CONNECT 10.0.0.1:80 HTTP/1.1\r\n\r\n")?;
        assert_eq!(web.is_seen_as(store.at4(7)).await?, web.ip4().to_string());
        Ok(())
    }
}
