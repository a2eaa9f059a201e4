use std::time::Duration;

use observe::pb::{Connection, EdgeKey, Party};

use super::*;
use crate::remembered::shape::{NodeCard, Totals, WorkloadRow};

fn data() -> Data {
    let node = |name: &str| NodeCard { name: name.into(), ready: true, ..NodeCard::default() };
    let workload = |name: &str, node: &str, bytes| WorkloadRow {
        namespace: "shop".into(),
        name: name.into(),
        nodes: vec![node.into()],
        inbound: Totals { sent_bytes: bytes, ..Totals::default() },
        ..WorkloadRow::default()
    };
    let party = |name: &str| {
        Some(Party { namespace: "shop".into(), workload: name.into(), ..Party::default() })
    };
    let connection = |from: &str, to: &str| Connection {
        key: Some(EdgeKey { source: party(from), destination: party(to), ..EdgeKey::default() }),
        node: "node-a".into(),
        ..Connection::default()
    };
    Data::of(
        &[node("node-b"), node("node-a")],
        &[
            workload("web", "node-a", 9_000),
            workload("store", "node-b", 100_000),
            workload("old", "node-a", 0),
        ],
        &[connection("web", "store"), connection("old", "old")],
        Duration::from_secs(10),
    )
}

fn press(view: &mut View, data: &Data, keys: &str) -> After {
    let mut after = After::Go;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '<' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            other => KeyCode::Char(other),
        };
        after = view.key(KeyEvent::new(code, KeyModifiers::NONE), Some(data));
    }
    after
}

fn names(view: &View, data: &Data, column: usize) -> Vec<String> {
    view.rows(data).iter().map(|row| row.values[column].text.clone()).collect()
}

#[test]
fn rows_are_sorted_by_the_chosen_column() {
    let data = data();
    let mut view = View::new(Level::Workloads, "m".into());
    assert_eq!(names(&view, &data, 1), ["store", "web", "old"], "the busiest first");
    press(&mut view, &data, "r");
    assert_eq!(names(&view, &data, 1), ["old", "web", "store"]);
    press(&mut view, &data, "ssssS");
    assert_eq!(view.sort().0, 9);
    press(&mut view, &data, "ssr");
    assert_eq!(view.sort(), (1, true));
    assert_eq!(names(&view, &data, 1), ["web", "store", "old"]);
    press(&mut view, &data, "1");
    assert_eq!(names(&view, &data, 0), ["node-a", "node-b"]);
}

#[test]
fn enter_goes_down_and_escape_comes_back() {
    let data = data();
    let mut view = View::new(Level::Nodes, "m".into());
    press(&mut view, &data, "\n");
    assert_eq!(
        (view.level(), names(&view, &data, 1)),
        (Level::Workloads, vec!["web".into(), "old".into()])
    );
    press(&mut view, &data, "\n");
    assert_eq!(
        (view.level(), names(&view, &data, 0)),
        (Level::Connections, vec!["shop/web".into()])
    );
    assert_eq!(
        view.below().iter().map(Below::text).collect::<Vec<_>>(),
        ["node node-a", "workload shop/web"]
    );
    press(&mut view, &data, "\n<");
    assert_eq!(view.level(), Level::Workloads);
    press(&mut view, &data, "<<<");
    assert_eq!((view.level(), view.below().len()), (Level::Nodes, 0));
    press(&mut view, &data, "j\n");
    assert_eq!(names(&view, &data, 1), ["store"]);
    press(&mut view, &data, "2\n");
    assert_eq!(view.below(), [Below::Namespace("shop".into())]);
}

#[test]
fn a_filter_is_typed_kept_and_cleared() {
    let data = data();
    let mut view = View::new(Level::Workloads, "m".into());
    press(&mut view, &data, "/WEq");
    assert!(view.typing && names(&view, &data, 1).is_empty(), "q is a letter while typing");
    view.key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE), Some(&data));
    press(&mut view, &data, "\n");
    assert_eq!(names(&view, &data, 1), ["web"]);
    press(&mut view, &data, "<");
    assert_eq!(view.rows(&data).len(), 3);
    assert_eq!(press(&mut view, &data, "q"), After::End);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(view.key(interrupt, None), After::End);
}

#[test]
fn the_selection_stays_within_what_there_is() {
    let data = data();
    let mut view = View::new(Level::Workloads, "m".into());
    press(&mut view, &data, "jjjjjj");
    assert_eq!(view.table.selected(), Some(2));
    press(&mut view, &data, "Gkk");
    assert_eq!(view.table.selected(), Some(0));
    view.follow(Some(&Data::default()));
    assert_eq!(view.table.selected(), None);
    view.follow(None);
}
