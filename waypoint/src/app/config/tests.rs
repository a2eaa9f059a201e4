use std::time::Duration;

use super::{Config, duration};

fn config(set: &[(&str, &str)]) -> Result<Config, String> {
    let lookup = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    Config::from_lookup(lookup).map_err(|e| e.to_string())
}

#[test]
fn the_identity_is_the_account_or_the_gateway() {
    let set = [("POD_NAMESPACE", "shop"), ("GATEWAY_NAME", "waypoint")];
    let read = config(&set).expect("enough");
    assert_eq!(read.identity.to_string(), "spiffe://cluster.local/ns/shop/sa/waypoint");
    assert_eq!((read.gateway.as_str(), read.hbone.port()), ("waypoint", 15008));
    assert!(config(&[("POD_NAMESPACE", "shop")]).is_err_and(|e| e.contains("SERVICE_ACCOUNT")));
    assert!(config(&[("GATEWAY_NAME", "w")]).is_err_and(|e| e.contains("POD_NAMESPACE")));
}

#[test]
fn a_wrong_value_is_named() {
    for (variable, value) in [
        ("HBONE_ADDR", "15008"),
        ("WAYPOINT_WORKER_THREADS", "0"),
        ("SECRET_TTL", "1d"),
        ("INSTANCE_IP", "here"),
        ("TRUST_DOMAIN", "Cluster"),
    ] {
        let set = [("POD_NAMESPACE", "shop"), ("SERVICE_ACCOUNT", "w"), (variable, value)];
        assert!(config(&set).is_err_and(|e| e.contains(variable)), "{variable}");
    }
}

#[test]
fn durations_have_units() {
    assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
    assert_eq!(duration("2h"), Some(Duration::from_hours(2)));
    assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
    for wrong in ["", "5", "s", "-1s", "1.5s", "99999999999999999999s"] {
        assert_eq!(duration(wrong), None, "{wrong}");
    }
}
