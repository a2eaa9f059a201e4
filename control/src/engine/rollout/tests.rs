use super::*;
use crate::model::object::Key;
use crate::translate::derive;
use crate::translate::tests::world;

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: store, namespace: shop, labels: {app: store}}
spec: {nodeName: a, containers: []}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop, labels: {LABELS}}
spec: {selector: {app: store}, ports: [{port: 80}]}
";

/// What a pod and its service look like: waypoint of the service, waypoint of the pod, who the
/// guards let in.
type Seen = (Option<&'static str>, Option<&'static str>, Vec<&'static str>);

fn derived(labels: &str) -> Step {
    let world = world(&PODS.replace("LABELS", labels));
    let key = Key::new("shop", "store");
    let all = [Dirty::Pod(key.clone()), Dirty::Service(key)];
    all.into_iter().map(|dirty| (dirty.clone(), derive(&world, &dirty))).collect()
}

fn body(derived: &Derived) -> Option<pb::address::Type> {
    let body = addresses(derived).next()?.body.as_slice();
    pb::Address::decode(body).expect("decodes").r#type
}

fn name(waypoint: Option<&pb::GatewayAddress>) -> Option<&'static str> {
    let text = format!("{:?}", waypoint?);
    ["one", "two"].into_iter().find(|name| text.contains(&format!("{name}.shop")))
}

fn seen(step: &Step) -> Seen {
    let (mut service, mut pod, mut guards) = (None, None, Vec::new());
    for (_, derived) in step {
        match body(derived) {
            Some(pb::address::Type::Service(found)) => service = name(found.waypoint.as_ref()),
            Some(pb::address::Type::Workload(found)) => {
                pod = name(found.waypoint.as_ref());
                let named: BTreeSet<&String> = found.authorization_policies.iter().collect();
                let own: BTreeSet<String> = derived.guards.iter().map(Guard::full_name).collect();
                assert_eq!(named, own.iter().collect(), "the workload names what guards it");
                let all = derived.guards.iter().flat_map(|guard| &guard.principals);
                let both = ["one", "two"].into_iter();
                guards = both
                    .filter(|n| all.clone().any(|p| p.ends_with(&format!("/sa/{n}"))))
                    .collect();
            }
            None => {}
        }
    }
    (service, pod, guards)
}

fn in_force(of: &Step) -> impl Fn(&Dirty, &Derived) -> Option<InForce> + '_ {
    move |dirty, _| {
        let (_, derived) = of.iter().find(|(d, _)| d == dirty)?;
        let addresses = addresses(derived).map(|r| (r.name.clone(), r.body.clone().into()));
        let held = derived.resources.iter().filter(|resource| is_held(resource.family));
        let holders = held.map(|r| ((r.family, r.name.clone()), r.groups.clone())).collect();
        Some(InForce { guards: derived.guards.clone(), addresses: addresses.collect(), holders })
    }
}

const ONE: &str = "istio.io/use-waypoint: one";
const TWO: &str = "istio.io/use-waypoint: two";

#[test]
fn the_stricter_half_of_a_change_comes_last_and_goes_first() {
    let bound = |w| (Some(w), Some(w));
    for (case, from, to, want) in [
        ("nothing changes", ONE, ONE, vec![(bound("one"), vec!["one"])]),
        ("bound", "", ONE, vec![(bound("one"), vec![]), (bound("one"), vec!["one"])]),
        ("unbound", ONE, "", vec![(bound("one"), vec![]), ((None, None), vec![])]),
        (
            "moved",
            ONE,
            TWO,
            vec![
                (bound("one"), vec!["one", "two"]),
                (bound("two"), vec!["one", "two"]),
                (bound("two"), vec!["two"]),
            ],
        ),
    ] {
        let old = derived(from);
        let steps = steps(derived(to), in_force(&old));
        let mut now = derived(from);
        let found: Vec<_> = steps
            .into_iter()
            .map(|step| {
                for (dirty, derived) in step {
                    now.retain(|(d, _)| *d != dirty);
                    now.push((dirty, derived));
                }
                let (service, pod, guards) = seen(&now);
                ((service, pod), guards)
            })
            .collect();
        assert_eq!(found, want, "{case}");
        now.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(now, derived(to), "{case}: in the end it is what was derived");
    }
}

const POLICY: &str = "
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no, namespace: shop}
spec: {action: DENY, targetRefs: [{kind: Service, name: store, group: ''}], rules: [{}]}
";

#[test]
fn a_waypoint_that_is_left_has_its_policies_until_nobody_comes_through_it() {
    let derived = |labels: &str| -> Step {
        let world = world(&format!("{}{POLICY}", PODS.replace("LABELS", labels)));
        let key = Key::new("shop", "store");
        let policy = Dirty::Policy(Key::new("shop", "no"));
        let all = [policy, Dirty::Pod(key.clone()), Dirty::Service(key)];
        all.into_iter().map(|dirty| (dirty.clone(), derive(&world, &dirty))).collect()
    };
    let old = derived(ONE);
    let found: Vec<_> = steps(derived(TWO), in_force(&old))
        .into_iter()
        .map(|step| {
            let (_, _, guards) = seen(&step);
            let policies = step.into_iter().flat_map(|(_, derived)| derived.resources);
            let mut policies = policies.filter(|resource| is_held(resource.family));
            let holders = policies.next().map(|policy| policy.groups.join(" "));
            (holders.unwrap_or_default(), guards)
        })
        .collect();
    let of = |text: &str| text.to_owned();
    let want = [
        (of("shop/one shop/two"), vec!["one", "two"]),
        (of("shop/one shop/two"), vec!["one", "two"]),
        (of(""), vec!["two"]),
        (of("shop/two"), vec![]),
    ];
    assert_eq!(found, want);
}

#[test]
fn what_is_new_is_strict_at_once() {
    let found = steps(derived(ONE), |_, _| None);
    assert_eq!(found.len(), 1);
    assert_eq!(seen(&found[0]), (Some("one"), Some("one"), vec!["one"]));
    // Beside something that changes, too.
    let old = derived("");
    let only_service = |dirty: &Dirty, new: &Derived| match dirty {
        Dirty::Service(_) => in_force(&old)(dirty, new),
        _ => None,
    };
    assert_eq!(steps(derived(ONE), only_service).len(), 1);
}

#[test]
fn guards_of_before_and_after_let_in_what_one_of_them_does() {
    let guard = |port, who: &[&str]| Guard {
        namespace: "shop".to_owned(),
        port,
        principals: who.iter().map(|w| (*w).to_owned()).collect(),
    };
    for (case, old, new, want) in [
        ("none before", vec![], vec![guard(Some(80), &["a"])], vec![]),
        ("none after", vec![guard(Some(80), &["a"])], vec![], vec![]),
        ("another port", vec![guard(Some(80), &["a"])], vec![guard(Some(81), &["a"])], vec![]),
        ("all ports are another", vec![guard(Some(80), &["a"])], vec![guard(None, &["a"])], vec![]),
        (
            "both",
            vec![guard(Some(80), &["a"]), guard(None, &["a", "b"])],
            vec![guard(Some(80), &["b"]), guard(None, &["b"])],
            vec![guard(Some(80), &["a", "b"]), guard(None, &["a", "b"])],
        ),
    ] {
        let set = |guards: Vec<Guard>| guards.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(common(&set(old), &set(new)), set(want), "{case}");
    }
}
