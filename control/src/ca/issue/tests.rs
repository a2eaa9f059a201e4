use super::*;
use crate::state::StateDir;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

fn root() -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let state = StateDir::open(folder.path()).expect("opens");
    let root = Root::open(&state, SystemTime::now()).expect("made");
    (folder, root)
}

fn request(names: &[&str]) -> String {
    let key = KeyPair::generate().expect("key");
    let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
    let params = CertificateParams::new(names).expect("names");
    params.serialize_request(&key).expect("request").pem().expect("PEM")
}

fn issue(root: &Root, csr: &str, life: u64, now: SystemTime) -> Vec<u8> {
    let id = "spiffe://cluster.local/ns/shop/sa/web".parse().expect("identity");
    let request = Request::read(csr).expect("reads");
    let pem = workload(root, &request, &id, Duration::from_secs(life), now).expect("signs");
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM").1.contents
}

#[test]
fn a_leaf_has_one_name_whatever_the_request_asks_for() {
    let (_folder, root) = root();
    let der = issue(&root, &request(&["evil.example", "10.0.0.1"]), 600, SystemTime::now());
    let (_, leaf) = X509Certificate::from_der(&der).expect("a certificate");
    let san = leaf.subject_alternative_name().expect("one").expect("SAN");
    assert!(san.critical);
    let [GeneralName::URI(uri)] = san.value.general_names.as_slice() else {
        panic!("exactly one URI: {:?}", san.value.general_names)
    };
    assert_eq!(*uri, "spiffe://cluster.local/ns/shop/sa/web");
    assert_eq!(leaf.subject().iter().count(), 0, "no subject");
    let basic = leaf.basic_constraints().expect("one").expect("present");
    assert!(!basic.value.ca);
    let usage = leaf.key_usage().expect("one").expect("present").value;
    assert!(usage.digital_signature() && usage.key_encipherment() && !usage.key_cert_sign());
    let extended = leaf.extended_key_usage().expect("one").expect("present").value;
    assert!(extended.client_auth && extended.server_auth);
    let pem = x509_parser::pem::parse_x509_pem(root.pem().as_bytes()).expect("PEM").1;
    let (_, issuer) = X509Certificate::from_der(&pem.contents).expect("the root");
    leaf.verify_signature(Some(issuer.public_key())).expect("signed by the root");
}

#[test]
fn a_leaf_begins_a_little_early_and_never_outlives_the_root() {
    let (_folder, root) = root();
    let now = SystemTime::now();
    let unix = OffsetDateTime::from(now).unix_timestamp();
    for (life, early) in [(86_400, 120), (600, 60), (10, 1)] {
        let der = issue(&root, &request(&[]), life, now);
        let (_, leaf) = X509Certificate::from_der(&der).expect("a certificate");
        assert_eq!(unix - leaf.validity().not_before.timestamp(), early, "life {life}");
        assert_eq!(
            leaf.validity().not_after.timestamp() - unix,
            i64::try_from(life).expect("fits")
        );
    }
    let near = SystemTime::UNIX_EPOCH
        + Duration::from_secs(u64::try_from(root.not_after() - 60).expect("positive"));
    let der = issue(&root, &request(&[]), 600, near);
    let (_, leaf) = X509Certificate::from_der(&der).expect("a certificate");
    assert_eq!(leaf.validity().not_after.timestamp(), root.not_after());
    let late = near + Duration::from_secs(61);
    let id = "spiffe://cluster.local/ns/shop/sa/web".parse().expect("identity");
    let request = Request::read(&request(&[])).expect("reads");
    let refused = workload(&root, &request, &id, Duration::from_mins(1), late);
    assert!(matches!(refused, Err(IssueError::RootExpired)));
}

#[test]
fn a_request_with_a_wrong_signature_is_refused() {
    let pem = request(&[]);
    let (_, parsed) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    let mut der = parsed.contents;
    let last = der.len() - 1;
    der[last] ^= 1;
    let broken = CertificateSigningRequestParams::from_der(&der.as_slice().into());
    assert!(broken.is_err());
    for text in
        ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"]
    {
        assert!(matches!(Request::read(text), Err(IssueError::Request(_))));
    }
}

#[test]
fn a_wish_for_a_life_is_bounded() {
    let lives = Lives { default: Duration::from_secs(100), max: Duration::from_secs(200) };
    for (wanted, got) in [
        (0, Some(100)),
        (-5, Some(100)),
        (150, Some(150)),
        (200, Some(200)),
        (201, None),
        (i64::MAX, None),
    ] {
        assert_eq!(lives.choose(wanted).ok().map(|d| d.as_secs()), got, "{wanted}");
    }
}
