use super::*;
use crate::engine::tests::mesh::Mesh;
use crate::model::object::Key;
use crate::model::report::Report;

fn reported(n: usize) -> FromNode {
    FromNode::Pod(Reported {
        node: "n".to_owned(),
        pod: Key::new("shop", &format!("p{n}")),
        uid: format!("u{n}"),
        report: Report::default(),
    })
}

/// Pods with these numbers.
fn pods(numbers: std::ops::Range<usize>) -> String {
    let pod = |n| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p{n}, namespace: shop, uid: u{n}}}\nspec: {{nodeName: n, containers: []}}\n---\n"
        )
    };
    numbers.map(pod).collect()
}

#[tokio::test]
async fn a_node_has_so_many_reports_and_more_are_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = StateDir::open(folder.path()).expect("opens");
    let mut mesh = Mesh::new();
    mesh.set("pods", &pods(0..limits::MAX_REPORTS_PER_NODE + 1));
    let mut intake = Intake::open(state, mesh.world.clone(), Duration::from_secs(30));
    let batch = (0..=limits::MAX_REPORTS_PER_NODE).map(reported).collect();
    intake.take(&mut mesh.engine, batch).await;
    let last = limits::MAX_REPORTS_PER_NODE;
    let has = |intake: &Intake, n: usize| intake.reports["n"].contains_key(&format!("u{n}"));
    assert_eq!(intake.reports["n"].len(), limits::MAX_REPORTS_PER_NODE);
    assert!(has(&intake, 0) && !has(&intake, last));
    // Those of pods that are gone make room.
    mesh.set("pods", &pods(1..limits::MAX_REPORTS_PER_NODE + 1));
    intake.take(&mut mesh.engine, vec![reported(last)]).await;
    assert!(!has(&intake, 0) && has(&intake, last));
}
