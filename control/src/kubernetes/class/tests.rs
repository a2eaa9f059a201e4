use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::client::Body;

use super::*;

fn name() -> ObjectRef {
    ObjectRef::new(Kind::GatewayClass, "", brand::WAYPOINT_CLASS)
}

/// The class as the API server has it, with this spec.
fn there(spec: &Value) -> DynamicObject {
    let object = json!({"metadata": {"name": brand::WAYPOINT_CLASS, "uid": "u"}, "spec": spec});
    serde_json::from_value(object).expect("an object")
}

fn other(field: &str) -> Value {
    let mut spec = class()["spec"].clone();
    spec[field] = "example.test/other".into();
    spec
}

/// An API server that takes what it gets, and counts it.
fn server() -> (Client, Arc<AtomicUsize>) {
    let writes = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&writes);
    let service = tower::service_fn(move |_: http::Request<Body>| {
        count.fetch_add(1, Ordering::SeqCst);
        let body = there(&class()["spec"]);
        let body = serde_json::to_vec(&body).expect("JSON");
        async move { Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(body))) }
    });
    (Client::new(service, "default"), writes)
}

#[tokio::test(start_paused = true)]
async fn the_class_is_written_when_it_differs_and_else_never() {
    let (client, writes) = server();
    let observed = Observed::default();
    let keeping = tokio::spawn(keep(client, observed.clone()));
    let hour = Duration::from_hours(1);
    let after = async |time: Duration| {
        tokio::time::sleep(time).await;
        writes.load(Ordering::SeqCst)
    };
    assert_eq!(after(AGAIN / 2).await, 1, "it is not there");
    observed.see(&name(), &there(&class()["spec"]));
    assert_eq!(after(hour).await, 1, "it is as it should be");
    observed.see(&ObjectRef::new(Kind::Namespace, "", "shop"), &there(&Value::Null));
    assert_eq!(after(hour).await, 1, "another object changes nothing");
    observed.see(&name(), &there(&other("controllerName")));
    assert_eq!(after(hour).await, 1, "another's class stays another's");
    observed.see(&name(), &there(&other("description")));
    assert_eq!(after(AGAIN / 2).await, 2, "changed");
    observed.see(&name(), &there(&class()["spec"]));
    assert_eq!(after(hour).await, 2, "as it should be again");
    observed.forget(&name());
    assert_eq!(after(AGAIN / 2).await, 3, "removed");
    assert_eq!(after(AGAIN).await, 4, "and, as nobody says that it is there, once more");
    keeping.abort();
}
