use super::*;
use crate::kubernetes::waypoints::asked::AskedError;
use crate::source::document;

/// What a plain Gateway gets. To be looked at whenever it changes.
const GOLDEN: &str = include_str!("golden.yaml");

fn settings() -> Settings {
    Settings {
        image: "example.test/ambit:1".to_owned(),
        pull_policy: "IfNotPresent".to_owned(),
        control: "https://istiod.istio-system.svc:15012".to_owned(),
        trust_domain: "cluster.local".to_owned(),
        cluster: "Kubernetes".to_owned(),
        network: String::new(),
        domain: "cluster.local".to_owned(),
    }
}

fn gateway(metadata: &str, spec: &str) -> Value {
    let text = format!(
        "metadata: {{name: waypoint, namespace: shop, uid: u1{metadata}}}\nspec: {{gatewayClassName: ambit-waypoint, listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]{spec}}}"
    );
    document::parse(&text).expect("YAML")
}

fn asked(metadata: &str, spec: &str) -> Asked {
    Asked::read(&gateway(metadata, spec)).expect("in order").expect("asks for something")
}

fn of(wanted: &[Wanted], managed: Managed) -> &Value {
    &wanted.iter().find(|w| w.managed == managed).expect("wanted").object
}

fn with_overlay(key: Managed, text: &str) -> Result<Vec<Wanted>, OverlayError> {
    let data = [(key.overlay_key().to_owned(), text.to_owned())];
    let overlay = Overlay::read("options", data.iter().map(|(k, v)| (k, v)))?;
    render(&asked("", ""), &settings(), &[overlay])
}

#[test]
fn a_plain_gateway_gets_the_golden_objects() {
    let wanted = render(&asked("", ""), &settings(), &[]).expect("rendered");
    let golden: Vec<Value> = document::split(GOLDEN)
        .into_iter()
        .map(|document| document::parse(document.text).expect("YAML"))
        .collect();
    assert_eq!(golden.len(), wanted.len());
    for (golden, wanted) in golden.iter().zip(&wanted) {
        assert_eq!(*golden, wanted.object, "{:#}", wanted.object);
    }
}

#[test]
fn a_gateways_wishes_are_borne_but_change_nothing_that_the_mesh_goes_by() {
    let spec = ", infrastructure: {labels: {team: a, istio.io/dataplane-mode: ambient, gateway.networking.k8s.io/gateway-name: b}, annotations: {note: c}}";
    let wanted = render(&asked(", labels: {own: x}", spec), &settings(), &[]).expect("rendered");
    for want in &wanted {
        let labels = labels(&want.object);
        assert_eq!(labels["team"], "a");
        assert_eq!(labels[GATEWAY_NAME], "waypoint");
        assert!(!labels.contains_key("own"), "it has wishes of its own");
        assert_eq!(want.object["metadata"]["annotations"]["note"], "c");
    }
    let pod = &of(&wanted, Managed::Deployment)["spec"]["template"]["metadata"];
    assert_eq!(pod["labels"]["istio.io/dataplane-mode"], "none");
    assert_eq!(pod["labels"]["team"], "a");

    let metadata = ", labels: {own: x}, annotations: {ambit.dev/replicas: '3', kubectl.kubernetes.io/last-applied-configuration: long}";
    let wanted = render(&asked(metadata, ""), &settings(), &[]).expect("rendered");
    let service = of(&wanted, Managed::Service);
    assert_eq!(labels(service)["own"], "x", "without wishes, what it bears itself");
    let annotations = service["metadata"]["annotations"].as_object().expect("a map");
    assert_eq!(annotations.keys().collect::<Vec<_>>(), [DISTRIBUTION]);
    assert_eq!(of(&wanted, Managed::HorizontalPodAutoscaler)["spec"]["minReplicas"], 3);
}

#[test]
fn names_follow_the_annotations_and_the_model_knows_the_same_ones() {
    let metadata = ", annotations: {gateway.istio.io/name-override: web, gateway.istio.io/service-account: robot}";
    let wanted = render(&asked(metadata, ""), &settings(), &[]).expect("rendered");
    let names: Vec<&str> = wanted.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["robot", "web", "web", "web", "web"]);
    let deployment = of(&wanted, Managed::Deployment);
    assert_eq!(deployment["spec"]["template"]["spec"]["serviceAccountName"], "robot");
    assert_eq!(deployment["spec"]["selector"]["matchLabels"][GATEWAY_NAME], "waypoint");
}

#[test]
fn an_overlay_changes_the_objects_and_a_number_of_its_own_ends_the_scaling() {
    let wanted = with_overlay(Managed::HorizontalPodAutoscaler, "spec: {maxReplicas: 5}");
    let wanted = wanted.expect("rendered");
    assert_eq!(of(&wanted, Managed::HorizontalPodAutoscaler)["spec"]["maxReplicas"], 5);
    let wanted = with_overlay(Managed::Deployment, "spec: {replicas: 4}").expect("rendered");
    assert_eq!(of(&wanted, Managed::Deployment)["spec"]["replicas"], 4);
    assert!(wanted.iter().all(|w| w.managed != Managed::HorizontalPodAutoscaler));
    let labels = "{istio.io/dataplane-mode: ambient, gateway.networking.k8s.io/gateway-name: x}";
    let part = format!("spec: {{template: {{metadata: {{labels: {labels}}}}}}}");
    let wanted = with_overlay(Managed::Deployment, &part).expect("rendered");
    let pod = &of(&wanted, Managed::Deployment)["spec"]["template"]["metadata"]["labels"];
    assert_eq!(pod["istio.io/dataplane-mode"], "none");
    assert_eq!(pod[GATEWAY_NAME], "waypoint");
}

#[test]
fn an_overlay_gets_no_pod_that_the_profile_restricted_would_refuse() {
    let part = "spec: {template: {spec: {hostNetwork: true}}}";
    let refused = with_overlay(Managed::Deployment, part).expect_err("refused").to_string();
    assert!(refused.contains("hostNetwork is not permitted"), "{refused}");
}

#[test]
fn a_gateway_that_asks_for_nothing_or_cannot_have_it_is_told() {
    let read = |metadata: &str, spec: &str| Asked::read(&gateway(metadata, spec));
    assert_eq!(read(", deletionTimestamp: '2026-01-01T00:00:00Z'", ""), Ok(None));
    assert_eq!(read("", ", addresses: [{type: Hostname, value: example.test}]"), Ok(None));
    let dots = read(", annotations: {gateway.istio.io/name-override: a.b}", "");
    assert!(matches!(dots, Err(AskedError::Name { .. })), "{dots:?}");
    let secret = read("", ", infrastructure: {parametersRef: {group: '', kind: Secret, name: x}}");
    assert!(matches!(secret, Err(AskedError::Parameters(_))), "{secret:?}");
    let options =
        asked("", ", infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: x}}");
    assert_eq!(options.parameters.as_deref(), Some("x"));
}

#[test]
fn listeners_become_ports_with_names_that_a_service_may_have() {
    let spec = ", listeners: [{name: Web_One, port: 15008, protocol: HBONE}, {name: web-one, port: 80, protocol: HTTP}, {name: again, port: 80, protocol: HTTP}, {name: status, port: 15021, protocol: TCP}]";
    let text = gateway("", "");
    let mut text = text;
    text["spec"]["listeners"] =
        document::parse(&format!("{{x: 1{spec}}}")).expect("YAML")["listeners"].clone();
    let asked = Asked::read(&text).expect("in order").expect("asks");
    let ports: Vec<_> = asked.ports.iter().map(|(n, p, t)| (n.as_str(), *p, t.as_str())).collect();
    assert_eq!(ports, [("web-one", 80, "http"), ("port-15008", 15008, "hbone")]);
}

#[test]
fn what_others_add_to_an_object_is_no_drift_and_what_they_change_is() {
    let wanted = serde_json::json!({"spec": {"a": 1, "list": [{"name": "x", "v": 1}], "none": {}}});
    let found = |text: &str| document::parse(text).expect("YAML");
    for (text, same) in [
        ("{spec: {a: 1, list: [{name: x, v: 1}]}}", true),
        ("{spec: {a: 1, b: 2, list: [{name: x, v: 1, more: 2}]}, status: {}}", true),
        ("{spec: {a: 2, list: [{name: x, v: 1}]}}", false),
        ("{spec: {a: 1, list: [{name: x, v: 1}, {name: y}]}}", false),
        ("{spec: {a: 1, list: []}}", false),
        ("{spec: {}}", false),
    ] {
        assert_eq!(contains(&found(text), &wanted), same, "{text}");
    }
}
