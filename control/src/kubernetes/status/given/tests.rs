use super::*;
use crate::translate::tests::world;

fn entry(name: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{hosts: [{name}.example.com], ports: [{{number: 80, name: http}}], resolution: DNS}}\n"
    )
}

#[test]
fn what_is_on_its_way_is_given_to_nobody_else() {
    let world = world(&(entry("a") + &entry("b")));
    let key = |name| Key::new("shop", name);
    let (a, b) = (world.entry(&key("a")).expect("a"), world.entry(&key("b")).expect("b"));
    let (wished, _) = OnItsWay::default().allot(&world, b);
    let wished = wished["b.example.com"].clone();

    let mut on_its_way = OnItsWay::default();
    let given = Given::from([("a.example.com".to_owned(), wished.clone())]);
    on_its_way.wrote(&key("a"), &json!({"addresses": written(&given)}));
    let (other, without) = on_its_way.allot(&world, b);
    assert!(without.is_empty());
    assert!(other["b.example.com"].iter().all(|ip| !wished.contains(ip)), "{other:?}");
    assert_eq!(on_its_way.allot(&world, a).0, given, "written once is given once");
}

#[test]
fn what_was_heard_of_is_not_on_its_way_any_longer() {
    let mut world = world(&entry("a"));
    let key = Key::new("shop", "a");
    let mut on_its_way = OnItsWay::default();
    let (given, _) = on_its_way.allot(&world, world.entry(&key).expect("a"));
    on_its_way.wrote(&key, &json!({"addresses": written(&given)}));
    on_its_way.heard(&world);
    assert_eq!(on_its_way.0.len(), 1);
    world.vips.set(&key, given.clone());
    on_its_way.heard(&world);
    assert!(on_its_way.0.is_empty());
    assert_eq!(on_its_way.allot(&world, world.entry(&key).expect("a")).0, given, "it keeps them");

    on_its_way.wrote(&Key::new("shop", "gone"), &json!({"addresses": written(&given)}));
    on_its_way.heard(&world);
    assert!(on_its_way.0.is_empty(), "the object is gone");
}
