//! What must be so before anything is changed.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, PostParams};

use super::bundle::Bundle;
use super::target::Target;

/// Older API servers lack what the manifests use.
const OLDEST: (u32, u32) = (1, 28);

/// What the Gateway API brings.
const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Why nothing can be installed, each with what would be right.
    pub(crate) obstacles: Vec<String>,
    /// What a user may want to know.
    pub(crate) warnings: Vec<String>,
    /// Ambit is there already.
    pub(crate) installed: bool,
}

/// Looks at the cluster.
///
/// # Errors
/// If it cannot be looked at.
pub(super) async fn look(target: &Target, bundle: &Bundle) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let version = target.client().apiserver_version().await?;
    found.obstacles.extend(too_old(&version.major, &version.minor));
    // Each right by itself: a user learns all that are missing at once.
    for (verb, group, resource) in [
        ("patch", "", "namespaces"),
        ("patch", "rbac.authorization.k8s.io", "clusterroles"),
        ("patch", "rbac.authorization.k8s.io", "clusterrolebindings"),
        ("patch", "apiextensions.k8s.io", "customresourcedefinitions"),
        ("patch", "apps", "daemonsets"),
    ] {
        if !may(target, verb, group, resource).await? {
            found.obstacles.push(format!(
                "this user may not {verb} {resource}; use an account that administers the cluster"
            ));
        }
    }
    if !found.obstacles.is_empty() {
        return Ok(found);
    }
    let nodes: Api<Node> = Api::all(target.client());
    let nodes = nodes.list(&ListParams::default()).await?;
    let linux = |node: &&Node| {
        let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
        info.is_some_and(|info| info.operating_system == "linux")
    };
    if nodes.items.iter().find(linux).is_none() {
        found.obstacles.push("no node runs Linux; join one first".to_owned());
    }
    let definitions: Api<CustomResourceDefinition> = Api::all(target.client());
    if definitions.get_opt(GATEWAYS).await?.is_none() {
        found.warnings.push(
            "the Gateway API is not installed: mutual TLS and layer 4 policies work without it, \
             waypoints wait until it is there"
                .to_owned(),
        );
    }
    if let Some(first) = bundle.objects().iter().find(|object| object["kind"] == "DaemonSet") {
        found.installed = target.live(first).await?.is_some();
    }
    Ok(found)
}

async fn may(target: &Target, verb: &str, group: &str, resource: &str) -> anyhow::Result<bool> {
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(target.client());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Some distributions write a `+` behind the minor version.
fn too_old(major: &str, minor: &str) -> Option<String> {
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    let found = (major.parse().ok()?, digits.parse().ok()?);
    (found < OLDEST).then(|| {
        format!("Kubernetes {major}.{minor} is too old; {}.{} or newer works", OLDEST.0, OLDEST.1)
    })
}

#[cfg(test)]
mod tests {
    use super::too_old;

    #[test]
    fn an_old_api_server_is_told_with_what_works() {
        for (major, minor) in [("1", "28"), ("1", "36"), ("1", "30+"), ("2", "0")] {
            assert_eq!(too_old(major, minor), None, "{major}.{minor}");
        }
        let said = too_old("1", "27+").expect("too old");
        assert!(said.contains("1.27+") && said.contains("1.28"), "{said}");
    }
}
