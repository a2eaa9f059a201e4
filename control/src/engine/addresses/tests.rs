use std::net::IpAddr;

use super::*;
use crate::engine::tests::mesh::Mesh;
use crate::sync;

fn entry(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{hosts: [{name}.example.com], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: DNS{spec}}}\n"
    )
}

/// A control plane with a state directory, as after a start.
fn started(state: &std::path::Path) -> Mesh {
    let mut mesh = Mesh::new();
    let state = StateDir::open(state).expect("a state directory");
    let addresses = Addresses::load(state, &mut sync::write(&mesh.world));
    mesh.engine = mesh.engine.keeping(addresses);
    mesh
}

fn addresses(mesh: &Mesh, name: &str) -> Vec<IpAddr> {
    let world = sync::read(&mesh.world);
    world.vips.of(&Key::new("shop", name), &format!("{name}.example.com"))
}

#[test]
fn a_host_has_its_addresses_after_a_restart_also_when_others_come_first() {
    let state = tempfile::tempdir().expect("a directory");
    let mut mesh = started(state.path());
    mesh.set("api", &entry("api", ""));
    let given = addresses(&mesh, "api");
    assert_eq!(given.len(), 2);

    // Another that would get the same, had it come first.
    let text = std::fs::read_to_string(state.path().join(FILE)).expect("kept");
    let moved = text.replace("shop/api", "shop/zed").replace("api.example.com", "zed.example.com");
    std::fs::write(state.path().join(FILE), moved).expect("written");
    let mut mesh = started(state.path());
    mesh.set("both", &(entry("api", "") + "---\n" + &entry("zed", "")));
    assert_eq!(addresses(&mesh, "zed"), given, "it keeps what it had");
    let other = addresses(&mesh, "api");
    assert!(other.len() == 2 && other.iter().all(|ip| !given.contains(ip)), "{other:?}");
}

#[test]
fn what_has_gone_gives_its_addresses_back() {
    let state = tempfile::tempdir().expect("a directory");
    let mut mesh = started(state.path());
    mesh.set("api", &entry("api", ""));
    mesh.set("other", &entry("other", ""));
    mesh.set("other", &entry("other", ", addresses: [192.0.2.1]"));
    assert!(addresses(&mesh, "other").is_empty(), "its author wrote one");
    mesh.remove("api");
    assert!(sync::read(&mesh.world).vips.is_empty());

    mesh.set("api", &entry("api", ""));
    drop(mesh);
    let mut mesh = started(state.path());
    assert!(!sync::read(&mesh.world).vips.is_empty(), "kept until the state is whole");
    mesh.set("other", &entry("other", ""));
    assert!(addresses(&mesh, "api").is_empty(), "it went while nobody looked");
}

#[test]
fn an_address_that_somebody_writes_is_taken_from_whom_it_was_given() {
    let state = tempfile::tempdir().expect("a directory");
    let mut mesh = started(state.path());
    mesh.set("api", &entry("api", ""));
    let given = addresses(&mesh, "api");
    mesh.set("own", &entry("own", &format!(", addresses: [{}]", given[0])));
    let now = addresses(&mesh, "api");
    assert!(!now.contains(&given[0]) && !now.is_empty(), "{now:?}");
}
