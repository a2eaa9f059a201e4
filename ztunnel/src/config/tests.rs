use super::*;

fn with(pairs: &'static [(&'static str, &'static str)]) -> Result<Config, ConfigError> {
    Config::from_lookup(|name| {
        pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = with(&[]).expect("defaults");
    assert_eq!(&*config.place.cluster, "Kubernetes");
    assert_eq!(config.sockets.mark, 1337);
    assert_eq!(config.secret_ttl, Duration::from_hours(24));
    assert_eq!(config.admin.to_string(), "127.0.0.1:15000");
    assert_eq!(config.agent_socket.to_str(), Some("/var/run/ztunnel/ztunnel.sock"));
}

#[test]
fn variables_change_what_they_name() {
    let config = with(&[
        ("NODE_NAME", "node-a"),
        ("CLUSTER_ID", "a"),
        ("ISTIO_META_CLUSTER_ID", "b"),
        ("SECRET_TTL", "90s"),
        ("KEEPALIVE_ENABLED", "false"),
    ])
    .expect("valid");
    assert_eq!((&*config.place.node, &*config.place.cluster), ("node-a", "b"));
    assert_eq!(config.secret_ttl, Duration::from_secs(90));
    assert!(config.sockets.keepalive.is_none());
}

#[test]
fn a_value_that_cannot_be_used_is_named_with_what_would_be_right() {
    for pairs in [
        &[("TRUST_DOMAIN", "Cluster Local")],
        &[("SECRET_TTL", "soon")],
        &[("SECRET_TTL", "24")],
        &[("PACKET_MARK", "0")],
        &[("IPV6_ENABLED", "yes")],
        &[("ADMIN_ADDR", "localhost")],
        &[("HTTP2_FRAME_SIZE", "1")],
        &[("ZTUNNEL_WORKER_THREADS", "0")],
        &[("INSTANCE_IP", "node-a")],
    ] {
        let error = with(pairs).expect_err("refused").to_string();
        let [(name, value)] = pairs;
        assert!(error.contains(name) && error.contains(value), "{error}");
        assert!(error.contains("write"), "{error}");
    }
}
