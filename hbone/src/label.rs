//! Labels and annotations of the contract that several programs read (docs/wire.md, "Objects").

/// On a Namespace or a Pod: `ambient` enrols, anything else does not; the pod's own wins.
pub const DATAPLANE_MODE: &str = "istio.io/dataplane-mode";

/// On a Pod: it belongs to the Gateway of this name.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// On a Pod, an annotation that its node writes: `enabled` or `pending`.
pub const REDIRECTION: &str = "ambient.istio.io/redirection";

/// On a Pod, an annotation: a sidecar carries its traffic.
pub const SIDECAR_STATUS: &str = "sidecar.istio.io/status";

/// Whether the labels say that a pod takes part, by the value of [`DATAPLANE_MODE`] on the pod
/// and on its namespace.
pub fn takes_part(pod: Option<&str>, namespace: Option<&str>) -> bool {
    pod.or(namespace) == Some("ambient")
}

#[cfg(test)]
mod tests {
    use super::takes_part;

    #[test]
    fn the_pods_own_label_wins() {
        for (pod, namespace, want) in [
            (None, None, false),
            (None, Some("ambient"), true),
            (Some("ambient"), None, true),
            (Some("none"), Some("ambient"), false),
            (Some("ambient"), Some("none"), true),
            (Some("Ambient"), Some("ambient"), false),
            (Some(""), Some("ambient"), false),
        ] {
            assert_eq!(takes_part(pod, namespace), want, "{pod:?} in {namespace:?}");
        }
    }
}
