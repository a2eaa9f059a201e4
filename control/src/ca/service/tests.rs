use std::time::Duration;

use hbone::tls::CertificateRequest;
use tokio::time::timeout;
use tonic::metadata::MetadataMap;

use super::*;
use crate::auth::AuthError;
use crate::model::object::Key;
use crate::state::StateDir;

/// Lets everybody in, as the pod `shop/web`.
#[derive(Debug)]
struct Everybody;

#[async_trait]
impl Authenticator for Everybody {
    async fn authenticate(&self, _: &MetadataMap) -> Result<Caller, AuthError> {
        let role = Role::Pod { pod: Key::new("shop", "web"), uid: "u".to_owned() };
        let own = str::to_owned;
        Ok(Caller { namespace: own("shop"), service_account: own("web"), node: own("n"), role })
    }
}

#[tokio::test]
async fn so_many_certificates_are_signed_at_once_and_the_next_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = StateDir::open(folder.path()).expect("opens");
    let root = Root::open(&state, SystemTime::now()).expect("made");
    let world = crate::translate::tests::world("");
    let hour = Duration::from_hours(1);
    let service = CaService::new(
        Arc::new(root),
        Arc::new(RwLock::new(world)),
        Arc::new(Everybody),
        Lives { default: hour, max: hour },
        CaMetrics::default(),
    );
    let id = "spiffe://cluster.local/ns/shop/sa/web".parse().expect("an identity");
    let csr = CertificateRequest::generate(&id).expect("a request").pem().to_owned();
    let busy = service.signing.try_acquire_many(limits::MAX_SIGNING as u32).expect("all of them");
    let request = Request::new(IstioCertificateRequest { csr, ..Default::default() });
    let mut asked = std::pin::pin!(service.create_certificate(request));
    assert!(timeout(Duration::from_millis(200), asked.as_mut()).await.is_err(), "it waits");
    drop(busy);
    let answer = timeout(Duration::from_secs(10), asked).await.expect("in time");
    assert_eq!(answer.expect("signed").into_inner().cert_chain.len(), 2);
}
