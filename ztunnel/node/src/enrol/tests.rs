use std::collections::BTreeMap;

use super::*;

fn pod(change: impl FnOnce(&mut Pod)) -> Pod {
    let mut pod = Pod {
        uid: "u1".into(),
        namespace: "shop".into(),
        name: "web".into(),
        service_account: "web".into(),
        ips: vec!["10.1.0.5".parse().expect("an address")],
        labelled: true,
        terminated: false,
        host_network: false,
        annotations: BTreeMap::new(),
        waypoint: None,
        sandbox: false,
    };
    change(&mut pod);
    pod
}

#[test]
fn only_what_may_take_part_is_enrolled() {
    let sidecar = |pod: &mut Pod| {
        pod.annotations.insert(SIDECAR_STATUS.into(), "{}".into());
    };
    for (case, pod, want) in [
        ("labelled", pod(|_| ()), Verdict::Enrol),
        ("not labelled", pod(|pod| pod.labelled = false), Verdict::NotLabelled),
        ("ended", pod(|pod| pod.terminated = true), Verdict::Terminated),
        ("on the host network", pod(|pod| pod.host_network = true), Verdict::HostNetwork),
        ("with a sidecar", pod(sidecar), Verdict::Sidecar),
        ("excluded", pod(|pod| pod.namespace = "kube-system".into()), Verdict::ExcludedNamespace),
        ("no address yet", pod(|pod| pod.ips.clear()), Verdict::Enrol),
        ("a waypoint", pod(|pod| pod.waypoint = Some("gate".into())), Verdict::NotLabelled),
    ] {
        assert_eq!(judge(&pod, &Exclusions::default()), want, "{case}");
    }
}

#[test]
fn a_pod_of_the_stream_is_checked() {
    use hbone::wire::pb::ambit::node::v1 as pb;
    let wire = |change: fn(&mut pb::Pod)| {
        let mut pod = pb::Pod {
            uid: "u1".into(),
            namespace: "shop".into(),
            name: "web".into(),
            ips: vec!["10.1.0.5".into(), "fd00::5".into()],
            enrol: true,
            ..pb::Pod::default()
        };
        change(&mut pod);
        Pod::try_from(pod)
    };
    let good = wire(|_| ()).expect("taken");
    assert_eq!(good.service_account, "default");
    assert_eq!(good.ips.len(), 2);
    for (case, result) in [
        ("no uid", wire(|pod| pod.uid.clear())),
        ("uid too long", wire(|pod| pod.uid = "u".repeat(129))),
        ("path as uid", wire(|pod| pod.uid = "../u1".into())),
        ("path as name", wire(|pod| pod.name = "../web".into())),
        ("newline in namespace", wire(|pod| pod.namespace = "shop\nx".into())),
        ("three addresses", wire(|pod| pod.ips.push("10.1.0.6".into()))),
        ("no address", wire(|pod| pod.ips[0] = "web.shop".into())),
    ] {
        assert!(result.is_err(), "{case}");
    }
}
