use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::service::Routes;
use tonic::{Request, Response};

use super::*;
use crate::channel::fake::{Authority, FakeServer};
use pb::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer,
};

/// Signs whatever the CSR says, or does what the test wants.
struct FakeCa {
    authority: Arc<Authority>,
    mode: Mode,
    seen: mpsc::Sender<(pb::IstioCertificateRequest, String)>,
}

#[derive(Clone, Copy)]
enum Mode {
    Sign,
    Silent,
    Refuse,
    LeafOnly,
    OtherIdentity,
    Long,
}

#[tonic::async_trait]
impl IstioCertificateService for FakeCa {
    async fn create_certificate(
        &self,
        request: Request<pb::IstioCertificateRequest>,
    ) -> Result<Response<pb::IstioCertificateResponse>, Status> {
        let token = request.metadata().get("authorization").expect("token").clone();
        let message = request.into_inner();
        let mut csr = message.csr.clone();
        let _ = self.seen.try_send((message, token.to_str().expect("text").to_owned()));
        match self.mode {
            Mode::Silent => std::future::pending::<()>().await,
            Mode::Refuse => {
                return Err(Status::unauthenticated("request authenticate failure"));
            }
            Mode::OtherIdentity => {
                let other = CertificateRequest::generate(&id("shop", "other"));
                csr = other.expect("request").pem().to_owned();
            }
            Mode::Sign | Mode::LeafOnly | Mode::Long => {}
        }
        let mut cert_chain = vec![self.authority.sign(&csr), self.authority.root_pem.clone()];
        if matches!(self.mode, Mode::LeafOnly) {
            cert_chain.pop();
        }
        if matches!(self.mode, Mode::Long) {
            cert_chain.push("x".repeat(MAX_ANSWER));
        }
        Ok(Response::new(pb::IstioCertificateResponse { cert_chain }))
    }
}

type Seen = mpsc::Receiver<(pb::IstioCertificateRequest, String)>;

async fn serve(authority: &Arc<Authority>, mode: Mode) -> (FakeServer, Seen) {
    let (seen, requests) = mpsc::channel(16);
    let service = FakeCa { authority: Arc::clone(authority), mode, seen };
    let routes = Routes::new(IstioCertificateServiceServer::new(service));
    (authority.serve("localhost", routes).await, requests)
}

fn id(namespace: &str, account: &str) -> SpiffeId {
    SpiffeId::new(crate::identity::TrustDomain::default(), namespace, account).expect("identity")
}

const TTL: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_node_proxy_gets_the_certificate_of_a_pod() {
    let authority = Arc::new(Authority::new());
    let (server, mut seen) = serve(&authority, Mode::Sign).await;
    let client = CaClient::new(authority.control(&[server.port]));
    let certificate = client.fetch(&id("shop", "web"), true, TTL).await.expect("issued");
    assert_eq!(*certificate.identity(), id("shop", "web"));
    let (request, token) = seen.recv().await.expect("seen");
    assert_eq!((request.validity_duration, token.as_str()), (3600, "Bearer secret"));
    let metadata = request.metadata.expect("metadata").fields;
    let wanted = metadata.get("ImpersonatedIdentity").and_then(|value| value.kind.clone());
    assert_eq!(wanted, Some(Kind::StringValue("spiffe://cluster.local/ns/shop/sa/web".into())));
}

#[tokio::test]
async fn a_waypoint_asks_only_for_itself() {
    let authority = Arc::new(Authority::new());
    let (server, mut seen) = serve(&authority, Mode::Sign).await;
    let client = CaClient::new(authority.control(&[server.port]));
    client.fetch(&id("shop", "waypoint"), false, TTL).await.expect("issued");
    assert!(seen.recv().await.expect("seen").0.metadata.is_none());
}

#[tokio::test]
async fn bad_answers_are_no_certificates() {
    let authority = Arc::new(Authority::new());
    for (mode, want) in [
        (Mode::OtherIdentity, "asked for was spiffe://cluster.local/ns/shop/sa/web"),
        (Mode::LeafOnly, "has 1 elements"),
        (Mode::Long, "message length too large"),
        (Mode::Refuse, "Unauthenticated: request authenticate failure"),
    ] {
        let (server, _seen) = serve(&authority, mode).await;
        let client = CaClient::new(authority.control(&[server.port]));
        let error = client.fetch(&id("shop", "web"), true, TTL).await.expect_err(want);
        let text = crate::channel::chain(&error);
        assert!(text.contains(want), "{want} in {text}");
    }
}

#[tokio::test]
async fn a_silent_authority_is_timed_out_and_left_for_another() {
    let authority = Arc::new(Authority::new());
    let (silent, _asked) = serve(&authority, Mode::Silent).await;
    let (good, _seen) = serve(&authority, Mode::Sign).await;
    let client = CaClient::new(authority.control(&[silent.port, good.port]))
        .with_timeout(Duration::from_millis(300));
    let error = client.fetch(&id("shop", "web"), true, TTL).await.expect_err("no answer");
    assert!(matches!(error, CaError::Timeout { .. }), "{error}");
    let client = client.with_timeout(Duration::from_secs(5));
    client.fetch(&id("shop", "web"), true, TTL).await.expect("the other answers");
}

#[tokio::test]
async fn an_authority_that_restarts_is_found_again() {
    let authority = Arc::new(Authority::new());
    let (first, _seen) = serve(&authority, Mode::Sign).await;
    let (second, _seen) = serve(&authority, Mode::Sign).await;
    let client = CaClient::new(authority.control(&[first.port, second.port]));
    client.fetch(&id("shop", "web"), true, TTL).await.expect("issued");
    drop(first);
    let mut last = None;
    for _ in 0..5 {
        match client.fetch(&id("shop", "web"), true, TTL).await {
            Ok(_) => return,
            Err(error) => last = Some(error),
        }
    }
    panic!("never issued again: {last:?}");
}
