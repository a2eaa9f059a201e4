use rcgen::{CertifiedIssuer, IsCa, KeyPair};

use super::*;

const NAMES: Names = Names {
    certificate: "ca-cert.pem",
    key: "ca-key.pem",
    chain: "cert-chain.pem",
    roots: "root-cert.pem",
};

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// An operator's authority: a root, and what it signed.
fn operators() -> Material {
    let root = KeyPair::generate().expect("key");
    let root = CertifiedIssuer::self_signed(authority("root"), root).expect("root");
    let key = KeyPair::generate().expect("key");
    let own = authority("own").signed_by(&key, &root).expect("signed");
    Material {
        certificate: own.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
        chain: own.pem().into_bytes(),
        roots: root.pem().into_bytes(),
    }
}

#[test]
fn an_operators_authority_signs_below_its_root() {
    let operators = operators();
    let root = Root::read(&operators, NAMES).expect("taken");
    assert_eq!(root.pem().trim(), std::str::from_utf8(&operators.roots).expect("text").trim());
    assert_eq!(root.chain().count(), 1);

    // Words around the blocks are no part of them.
    let mut commented = b"# the root of 2026\n".to_vec();
    commented.extend(&operators.roots);
    commented.extend(b"\n\n");
    let with = Material { roots: commented, ..operators };
    assert_eq!(Root::read(&with, NAMES).expect("taken").pem(), root.pem());
}

#[test]
fn an_authority_that_proxies_would_not_trust_is_refused_with_the_file() {
    let (good, other) = (operators(), operators());
    for (case, material, file) in [
        ("no key", Material { key: b"none".to_vec(), ..good.clone() }, "ca-key.pem"),
        ("another key", Material { key: other.key.clone(), ..good.clone() }, "ca-key.pem"),
        ("no certificate", Material { certificate: Vec::new(), ..good.clone() }, "ca-cert.pem"),
        ("another root", Material { roots: other.roots.clone(), ..good.clone() }, "root-cert.pem"),
        ("no chain", Material { chain: Vec::new(), ..good.clone() }, "root-cert.pem"),
        ("another chain", Material { chain: other.chain.clone(), ..good.clone() }, "root-cert.pem"),
        ("chain is no PEM", Material { chain: b"x".to_vec(), ..good.clone() }, "cert-chain.pem"),
    ] {
        let error = Root::read(&material, NAMES).expect_err(case).to_string();
        assert!(error.starts_with(file), "{case}: {error}");
    }
}
