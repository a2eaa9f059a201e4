//! A Kubernetes cluster with Ambit in it.

use std::path::Path;

use anyhow::Context as _;
use control::deploy::plan::CONTROLLER;
use control::translate::waypoint::MANAGED;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config, ResourceExt as _};

use super::member::{Kind, Member};
use super::objects::{Object, Objects};
use super::way::Way;
use crate::failed;
use crate::failure::Failure;

/// Objects that are listed at once.
const PAGE: u32 = 500;

/// The programs by the label of their pods.
const NAME: &str = "app.kubernetes.io/name";
/// Whose instance a waypoint's pod is.
const GATEWAY: &str = hbone::label::GATEWAY_NAME;

/// What is looked at: version, kind, plural.
const KINDS: [(&str, &str, &str, &str); 12] = [
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "Node", "nodes"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Service", "services"),
    ("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses"),
    ("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
    ("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes"),
    ("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies"),
    ("security.istio.io", "v1", "PeerAuthentication", "peerauthentications"),
    ("security.istio.io", "v1", "RequestAuthentication", "requestauthentications"),
    ("networking.istio.io", "v1", "ServiceEntry", "serviceentries"),
];

/// A cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    name: String,
    /// The namespace of the context, if it names one.
    pub(crate) namespace: Option<String>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cluster").field(&self.name).finish()
    }
}

/// How the API server that a kubeconfig names is reached; without one, as kubectl does.
///
/// # Errors
/// If there is no usable way to it, or nobody answers there.
pub(crate) async fn connect(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> anyhow::Result<Cluster> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
    // A list of files, as the variable may have it, is merged as kubectl does.
    let by_variable = std::env::var_os("KUBECONFIG");
    let given = kubeconfig.filter(|path| by_variable.as_deref() != Some(path.as_os_str()));
    let (config, name, namespace) = if let Some(path) = given {
        let file = Kubeconfig::read_from(path)
            .with_context(|| format!("the kubeconfig {}", path.display()))?;
        from_file(file, &options).await?
    } else if let Ok(file) = Kubeconfig::read() {
        from_file(file, &options).await?
    } else if context.is_some() {
        (Config::from_kubeconfig(&options).await?, String::new(), None)
    } else {
        let config = Config::infer().await.context("no kubeconfig; give --kubeconfig")?;
        (config, "of this pod".to_owned(), None)
    };
    let url = config.cluster_url.to_string();
    let client = Client::try_from(config)?;
    client.apiserver_version().await.with_context(|| format!("no answer from {url}"))?;
    let name = if name.is_empty() { url } else { name };
    Ok(Cluster { client, name, namespace })
}

async fn from_file(
    file: Kubeconfig,
    options: &KubeConfigOptions,
) -> anyhow::Result<(Config, String, Option<String>)> {
    let name = options.context.clone().or_else(|| file.current_context.clone()).unwrap_or_default();
    let known: Vec<String> = file.contexts.iter().map(|context| context.name.clone()).collect();
    let own = file.contexts.iter().find(|context| context.name == name);
    if own.is_none() && options.context.is_some() {
        let known = known.iter().map(String::as_str);
        anyhow::bail!("{}", crate::suggest::unknown("context", &name, known));
    }
    let namespace = own.and_then(|own| own.context.as_ref()).and_then(|own| own.namespace.clone());
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    Ok((Config::from_custom_kubeconfig(file, options).await?, name, namespace))
}

impl Cluster {
    /// How a person calls it: its context.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The client.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Its processes: the pods that run them.
    pub(super) async fn members(&self) -> Result<Vec<Member>, Failure> {
        let pods: Api<Pod> = Api::all(self.client());
        let mut members = Vec::new();
        for labels in [format!("{NAME} in (ambit-control,ambit-ztunnel)"), GATEWAY.to_owned()] {
            let list = pods.list(&ListParams::default().labels(&labels)).await;
            for pod in list.map_err(|error| denied(error, "pods", "list"))? {
                members.extend(self.member(&pod));
            }
        }
        Ok(members)
    }

    fn member(&self, pod: &Pod) -> Option<Member> {
        let labels = pod.labels();
        let gateway = labels.get(GATEWAY).cloned().unwrap_or_default();
        let spec = pod.spec.as_ref()?;
        let kind = match labels.get(NAME).map(String::as_str) {
            Some("ambit-control") => Kind::Control,
            Some("ambit-ztunnel") => Kind::Ztunnel,
            _ if labels.get(MANAGED).is_some_and(|by| by == CONTROLLER) => Kind::Waypoint,
            _ => return None,
        };
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.clone()).unwrap_or_default();
        if phase == "Succeeded" || phase == "Failed" {
            return None;
        }
        let namespace = pod.namespace().unwrap_or_default();
        let way = |port| Way::Forward {
            client: self.client(),
            namespace: namespace.clone(),
            pod: pod.name_any(),
            port,
        };
        let (admin, stats) = match kind {
            Kind::Control => (15016, 15016),
            Kind::Ztunnel | Kind::Waypoint => (15000, 15020),
        };
        Some(Member {
            kind,
            node: spec.node_name.clone().unwrap_or_default(),
            namespace: namespace.clone(),
            name: pod.name_any(),
            gateway,
            admin: way(admin),
            stats: way(stats),
            away: (phase != "Running").then(|| format!("its pod is {phase}")),
        })
    }

    /// All objects that concern a mesh. Kinds that the cluster does not know are none.
    pub(super) async fn objects(&self) -> Result<Objects, Failure> {
        let mut objects = Objects::default();
        for (group, version, kind, plural) in KINDS {
            let gvk = GroupVersionKind::gvk(group, version, kind);
            let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
            let api: Api<DynamicObject> = Api::all_with(self.client(), &resource);
            let mut params = ListParams::default().limit(PAGE);
            loop {
                let list = match api.list(&params).await {
                    Ok(list) => list,
                    Err(kube::Error::Api(status)) if status.code == 404 => break,
                    Err(error) => return Err(denied(error, plural, "list")),
                };
                let next = list.metadata.continue_.clone().filter(|next| !next.is_empty());
                for mut object in list.items {
                    object.types = Some(kube::core::TypeMeta {
                        api_version: resource.api_version.clone(),
                        kind: kind.to_owned(),
                    });
                    let value = serde_json::to_value(object).map_err(anyhow::Error::from)?;
                    objects.all.push(Object { value, place: None });
                }
                match next {
                    Some(next) => params = params.clone().continue_token(&next),
                    None => break,
                }
            }
        }
        Ok(objects)
    }

    /// The objects of one kind, to be changed.
    pub(crate) fn api(&self, kind: &str, namespace: &str) -> Option<Api<DynamicObject>> {
        let (group, version, kind, plural) = KINDS.into_iter().find(|known| known.2 == kind)?;
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        Some(match namespace {
            "" => Api::all_with(self.client(), &resource),
            namespace => Api::namespaced_with(self.client(), namespace, &resource),
        })
    }
}

/// What the API server refuses, as a sentence with the right that is missing.
pub(crate) fn denied(error: kube::Error, resource: &str, verb: &str) -> Failure {
    match &error {
        kube::Error::Api(status) if status.code == 403 => failed!(
            "this user may not {verb} {resource}; ask who administers the cluster for that right"
        ),
        _ => {
            Failure::Failed(anyhow::Error::from(error).context(format!("cannot {verb} {resource}")))
        }
    }
}
