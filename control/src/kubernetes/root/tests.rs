use super::*;

#[test]
fn what_is_stored_is_what_is_read() {
    let made = Material::make(SystemTime::now()).expect("made");
    let stored = secret(&made);
    assert_eq!(stored.metadata.name.as_deref(), Some(OURS));
    let read = material(stored.data.expect("data"));
    assert_eq!((&read.certificate, &read.key), (&made.certificate, &made.key));
    let root = Root::read(&read, NAMES).expect("an authority");
    assert_eq!(root.chain().count(), 0, "a root of its own");
    assert_eq!(root.pem().as_bytes(), made.certificate.as_slice());
}

#[test]
fn what_a_retry_cannot_mend_ends_the_start() {
    let said = |code| {
        let status = kube::core::Status { code, message: "no".to_owned(), ..Default::default() };
        judge(kube::Error::Api(Box::new(status)), "ambit-system", OURS)
    };
    let Trouble::Final(error) = said(404) else { panic!("404 is final") };
    assert!(error.to_string().contains("no namespace ambit-system"), "{error}");
    for code in [401, 403] {
        let Trouble::Final(error) = said(code) else { panic!("{code} is final") };
        assert!(error.to_string().contains("ambit-system/istio-ca-secret"), "{error}");
    }
    for code in [429, 500, 503] {
        assert!(matches!(said(code), Trouble::Passing(_)), "{code} passes");
    }
}
