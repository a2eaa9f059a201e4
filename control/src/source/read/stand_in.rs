//! What stands in for an object that cannot be read and has no last good version.
//!
//! What is not understood makes the mesh stricter, never laxer. Of such an object only whom it
//! concerns is read, part by part; what of that cannot be read counts as all that it could name.
//! Every other kind needs no stand-in: without a Gateway its callers are refused, without a
//! ReferenceGrant nothing is granted, without an entry nobody is led to its endpoints.
//!
//! docs/wire.md, "Objects".

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{Context, check_name, identify, kind_of};
use crate::api::gateway::{GrpcMatch, HttpMatch, ParentRef, Route, RouteSpec};
use crate::model::object::{
    Action, AuthorizationPolicy, Key, Kind, Map, Meta, MtlsMode, Object, ObjectRef,
    PeerAuthentication, RequestAuthentication, Rule, TargetRef, boolean,
};
use crate::state::digest;

/// Said of an object whose last good version is in force.
pub const LAST_GOOD: &str = "its last good version stays in force";

/// Said of an object that has neither a last good version nor a stand-in.
pub const NOTHING: &str = "nothing of it is in force";

/// What is in force in the place of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct StandIn {
    /// Which object; of one whose name Kubernetes would refuse, another name.
    pub object: ObjectRef,
    /// The object.
    pub value: Object,
    /// What it does, as the end of a sentence.
    pub effect: String,
}

/// What stands in for `value`; none of what needs nothing, or says not even where it belongs.
pub fn stand_in(value: &Value, context: &Context) -> Option<StandIn> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str);
    let kind = kind_of(text("/apiVersion")?, text("/kind")?)?;
    let object = name(value, kind, context)?;
    let meta = meta(value, &object);
    let (value, effect) = match kind {
        Kind::AuthorizationPolicy => policy(value, meta),
        Kind::PeerAuthentication => peer(value, meta),
        Kind::RequestAuthentication => tokens(value, meta)?,
        Kind::HTTPRoute => {
            let (spec, effect) = route::<HttpMatch>(value, &object)?;
            (Object::HTTPRoute(Box::new(Route { meta, spec })), effect)
        }
        Kind::GRPCRoute => {
            let (spec, effect) = route::<GrpcMatch>(value, &object)?;
            (Object::GRPCRoute(Box::new(Route { meta, spec })), effect)
        }
        Kind::Namespace
        | Kind::Node
        | Kind::Pod
        | Kind::ServiceAccount
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::GatewayClass
        | Kind::Gateway
        | Kind::ReferenceGrant
        | Kind::ServiceEntry
        | Kind::WorkloadEntry
        | Kind::MeshConfig => return None,
    };
    Some(StandIn { object, value, effect: format!("until it can be read, {effect}") })
}

/// The object's name. Names on the wire are built from it, so one that Kubernetes would refuse
/// is replaced.
fn name(value: &Value, kind: Kind, context: &Context) -> Option<ObjectRef> {
    let namespace = match value.pointer("/metadata/namespace") {
        None | Some(Value::Null) => "default",
        Some(text) => text.as_str()?,
    };
    check_name("metadata.namespace", namespace).ok()?;
    let good = identify(value, context).filter(|name| check_name("", &name.name).is_ok());
    let replaced = || {
        let name = format!("unreadable-{}", digest::short(value.to_string().as_bytes()));
        ObjectRef::new(kind, namespace, &name)
    };
    Some(good.unwrap_or_else(replaced))
}

fn meta(value: &Value, object: &ObjectRef) -> Meta {
    let raw = value.get("metadata").cloned().unwrap_or_default();
    let read = serde_json::from_value::<ObjectMeta>(raw).ok();
    let read = read.and_then(|raw| super::meta(raw, object.kind).ok());
    let key = Key::new(&object.namespace, &object.name);
    read.unwrap_or_else(|| Meta { key, ..Meta::default() })
}

/// A policy that denies its target everything. One that says that it refuses nobody, whatever
/// the rest says, does not.
fn policy(value: &Value, meta: Meta) -> (Object, String) {
    let spec = value.get("spec").unwrap_or(&Value::Null);
    let dry_run = value.pointer("/metadata/annotations/istio.io~1dry-run");
    let dry_run = dry_run.and_then(Value::as_str).and_then(boolean) == Some(true);
    let audit = spec.get("action").and_then(Value::as_str) == Some("AUDIT");
    let (selector, targets) = target(spec);
    let effect = match (dry_run, audit) {
        (true, _) => "it has no effect, as its dry run says".to_owned(),
        (_, true) => "it has no effect, as its action AUDIT says".to_owned(),
        _ if targets.is_empty() => {
            format!("it denies everything to {}", pods(selector.as_ref(), &meta))
        }
        _ => "it denies everything to what its targetRefs name".to_owned(),
    };
    let policy = AuthorizationPolicy {
        meta,
        selector,
        targets,
        action: if audit { Action::Audit } else { Action::Deny },
        rules: vec![Rule::Unreadable],
        dry_run,
        ..AuthorizationPolicy::default()
    };
    (Object::AuthorizationPolicy(Box::new(policy)), effect)
}

/// What refuses every request to the targets; none where they cannot be read: policies that ask
/// for a token then find none.
fn tokens(value: &Value, meta: Meta) -> Option<(Object, String)> {
    let (_, targets) = target(value.get("spec").unwrap_or(&Value::Null));
    let unreadable = Some("the object cannot be read".to_owned());
    let object = RequestAuthentication { meta, targets, unreadable, ..Default::default() };
    let effect = "it refuses every request to what its targetRefs name".to_owned();
    let some = !object.targets.is_empty();
    some.then(|| (Object::RequestAuthentication(Box::new(object)), effect))
}

/// Selector and targets of a policy; neither where one cannot be read, which is its whole scope.
fn target(spec: &Value) -> (Option<Map>, Vec<TargetRef>) {
    let absent = Value::Null;
    let field = |name: &str| spec.get(name).unwrap_or(&absent);
    let one = Some(field("targetRef")).filter(|one| !one.is_null());
    let many = match field("targetRefs") {
        Value::Null => Some(Vec::new()),
        many => many.as_array().cloned(),
    };
    let many = many.map(|many| one.into_iter().cloned().chain(many));
    let targets: Option<Vec<TargetRef>> = many.and_then(|many| many.map(target_ref).collect());
    match (targets, selector(spec)) {
        (Some(targets), Selected::Pods(pods)) => (Some(pods), targets),
        (Some(targets), Selected::All | Selected::Unreadable) => (None, targets),
        (None, _) => (None, Vec::new()),
    }
}

fn target_ref(value: Value) -> Option<TargetRef> {
    let target: TargetRef = serde_json::from_value(value).ok()?;
    (!target.kind.is_empty() && !target.name.is_empty()).then_some(target)
}

/// Which pods of its scope an object is about.
enum Selected {
    All,
    Pods(Map),
    Unreadable,
}

/// Other fields of a selector only narrow it, so they do not count.
fn selector(spec: &Value) -> Selected {
    let Some(spec) = spec.as_object() else { return Selected::Unreadable };
    let labels = match spec.get("selector") {
        None | Some(Value::Null) => return Selected::All,
        Some(Value::Object(selector)) => selector.get("matchLabels"),
        Some(_) => return Selected::Unreadable,
    };
    let labels = labels.filter(|labels| !labels.is_null()).cloned();
    match labels.map(serde_json::from_value::<Map>) {
        None => Selected::All,
        Some(Ok(labels)) if labels.is_empty() => Selected::All,
        Some(Ok(labels)) => Selected::Pods(labels),
        Some(Err(_)) => Selected::Unreadable,
    }
}

fn pods(selector: Option<&Map>, meta: &Meta) -> String {
    let namespace = &meta.key.namespace;
    let Some(labels) = selector else {
        return format!("every pod in the scope of namespace {namespace}");
    };
    let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("pods with {} in the scope of namespace {namespace}", labels.join(","))
}

fn peer(value: &Value, meta: Meta) -> (Object, String) {
    let (selector, any_pod) = match selector(value.get("spec").unwrap_or(&Value::Null)) {
        Selected::All => (None, false),
        Selected::Pods(labels) => (Some(labels), false),
        Selected::Unreadable => (None, true),
    };
    let effect = format!("it counts as STRICT for {}", pods(selector.as_ref(), &meta));
    let peer = PeerAuthentication {
        meta,
        selector,
        any_pod,
        mode: MtlsMode::Strict,
        ..PeerAuthentication::default()
    };
    (Object::PeerAuthentication(peer), effect)
}

/// A route that answers every request of its parents with an error; none without a parent.
fn route<M: Default>(value: &Value, object: &ObjectRef) -> Option<(RouteSpec<M>, String)> {
    let written = value.pointer("/spec/parentRefs").and_then(Value::as_array);
    let parents: Vec<ParentRef> = written.into_iter().flatten().filter_map(parent).collect();
    if parents.is_empty() {
        return None;
    }
    let named = |parent: &ParentRef| {
        let kind = parent.kind.as_deref().unwrap_or("Gateway");
        let namespace = parent.namespace.as_deref().unwrap_or(&object.namespace);
        format!("{kind} {namespace}/{}", parent.name)
    };
    let names: Vec<String> = parents.iter().map(named).collect();
    let of = if object.kind == Kind::GRPCRoute { "call" } else { "request" };
    let effect = format!("every {of} of {} is answered 500", names.join(", "));
    let spec = RouteSpec { parent_refs: parents, unreadable: true, ..RouteSpec::default() };
    Some((spec, effect))
}

/// A parent; a port or section that cannot be read is all of them.
fn parent(value: &Value) -> Option<ParentRef> {
    let text = |field: &str| match value.get(field) {
        None | Some(Value::Null) => Some(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())),
    };
    let port = value.get("port").and_then(Value::as_u64);
    Some(ParentRef {
        group: text("group")?,
        kind: text("kind")?,
        namespace: text("namespace")?,
        name: text("name")??,
        section_name: text("sectionName").flatten(),
        port: port.and_then(|port| u16::try_from(port).ok()),
    })
}

#[cfg(test)]
mod tests;
