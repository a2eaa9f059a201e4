//! The manifests that this program carries: those of the folder `manifests`, as
//! `kubectl apply -k` would make them.

use anyhow::Context as _;
use control::source::document;
use serde_json::Value;

/// The namespace of everything.
pub(super) const NAMESPACE: &str = "ambit-system";

/// Where the manifests take their images from.
pub(super) const IMAGES: &str = "ambit";

/// What marks the objects as ours.
const PART_OF: &str = "app.kubernetes.io/part-of";

/// By which control is told the image of waypoints.
const WAYPOINT_IMAGE: &str = "WAYPOINT_IMAGE";

const DEFINITIONS: [&str; 5] = [
    include_str!("../../manifests/definitions/authorization-policy.yaml"),
    include_str!("../../manifests/definitions/peer-authentication.yaml"),
    include_str!("../../manifests/definitions/request-authentication.yaml"),
    include_str!("../../manifests/definitions/service-entry.yaml"),
    include_str!("../../manifests/definitions/workload-entry.yaml"),
];

const BASE: [&str; 4] = [
    include_str!("../../manifests/base/namespace.yaml"),
    include_str!("../../manifests/base/control.yaml"),
    include_str!("../../manifests/base/node-agent.yaml"),
    include_str!("../../manifests/base/ztunnel.yaml"),
];

/// Kinds without a namespace.
const CLUSTER_WIDE: [&str; 4] =
    ["Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"];

/// Objects in the order in which they are applied.
#[derive(Debug)]
pub(super) struct Bundle(Vec<Value>);

impl Bundle {
    /// The objects with images `IMAGES/name:TAG`.
    ///
    /// # Errors
    /// If this program was built from manifests that are none.
    pub(super) fn read(images: &str, tag: &str, definitions: bool) -> anyhow::Result<Self> {
        let mut objects = Vec::new();
        let definitions = if definitions { DEFINITIONS.as_slice() } else { &[] };
        for text in definitions {
            objects.extend(parse(text)?);
        }
        for text in BASE {
            for mut object in parse(text)? {
                place(&mut object);
                take_images(&mut object, images.trim_end_matches('/'), tag);
                objects.push(object);
            }
        }
        Ok(Self(objects))
    }

    /// All of them.
    pub(super) fn objects(&self) -> &[Value] {
        &self.0
    }
}

/// `Kind namespace/name`, for people.
pub(super) fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, meta) = (text(&object["kind"]), &object["metadata"]);
    match meta["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{}", text(&meta["name"])),
        None => format!("{kind} {}", text(&meta["name"])),
    }
}

fn parse(text: &str) -> anyhow::Result<Vec<Value>> {
    let documents = document::split(text).into_iter();
    let parsed = documents.map(|found| document::parse(found.text).map_err(anyhow::Error::msg));
    parsed.collect::<anyhow::Result<_>>().context("the manifests in this program")
}

/// What the kustomization says of every object.
fn place(object: &mut Value) {
    let cluster_wide = object["kind"].as_str().is_some_and(|kind| CLUSTER_WIDE.contains(&kind));
    if !cluster_wide {
        object["metadata"]["namespace"] = NAMESPACE.into();
    }
    object["metadata"]["labels"][PART_OF] = "ambit".into();
}

fn take_images(object: &mut Value, images: &str, tag: &str) {
    let containers = object.pointer_mut("/spec/template/spec/containers");
    for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
        let name = container["image"].as_str().and_then(|image| image.rsplit('/').next());
        let name = name.and_then(|name| name.split(':').next()).unwrap_or_default().to_owned();
        container["image"] = format!("{images}/{name}:{tag}").into();
        // Waypoints are made by control, from an image that it is told.
        let variables = container["env"].as_array_mut().into_iter().flatten();
        for variable in variables.filter(|variable| variable["name"] == WAYPOINT_IMAGE) {
            variable["value"] = format!("{images}/waypoint:{tag}").into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_from_where_the_user_says() {
        let bundle = Bundle::read("mirror.example/ambit/", "1.2.3", false).expect("manifests");
        let images: Vec<_> = bundle
            .objects()
            .iter()
            .filter_map(|object| object.pointer("/spec/template/spec/containers/0/image"))
            .filter_map(Value::as_str)
            .collect();
        let want = ["control", "node-agent", "ztunnel"];
        let want = want.map(|name| format!("mirror.example/ambit/{name}:1.2.3"));
        assert_eq!(images, want);
        let told = serde_json::to_string(bundle.objects()).expect("JSON");
        assert!(told.contains("mirror.example/ambit/waypoint:1.2.3"), "control is told too");
    }

    #[test]
    fn everything_is_ours_and_in_its_place() {
        let bundle = Bundle::read(IMAGES, "0", true).expect("manifests");
        let kinds = bundle.objects().iter().filter_map(|object| object["kind"].as_str());
        let first: Vec<_> = kinds.take(DEFINITIONS.len() + 1).collect();
        let (namespace, definitions) = first.split_last().expect("objects");
        assert!(definitions.iter().all(|kind| *kind == "CustomResourceDefinition"), "{first:?}");
        assert_eq!(*namespace, "Namespace");
        for object in bundle.objects() {
            let cluster_wide = CLUSTER_WIDE.contains(&object["kind"].as_str().expect("a kind"));
            let namespace = object["metadata"]["namespace"].as_str();
            assert_eq!(namespace, (!cluster_wide).then_some(NAMESPACE), "{}", name(object));
        }
    }
}
