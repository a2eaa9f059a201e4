//! What two proxies know differently, or a proxy and the control plane.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::Proxy;
use crate::failed;
use crate::failure::{Failure, Outcome};
use crate::mesh::{Kind, Member, Mesh, Where};
use crate::terminal::{Cell, Column, Listing, Show, Style, Table, clean};

/// What to compare.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    proxy: Proxy,

    /// The other proxy; without it, the control plane
    other: Option<String>,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    show: Show,
}

/// `-o json`.
#[derive(Debug, Serialize)]
struct Differences {
    left: String,
    right: String,
    /// Objects that were compared.
    compared: usize,
    differences: Vec<Difference>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Difference {
    kind: &'static str,
    name: String,
    /// The field, or empty if one does not have the object at all.
    field: String,
    left: String,
    right: String,
}

/// Shows what differs; `Wrong` if anything does.
///
/// # Errors
/// If one of the two does not answer.
pub(super) async fn run(options: &Options) -> Result<Outcome, Failure> {
    let mesh = options.place.find().await?;
    let left = options.proxy.find(&mesh).await?;
    let left_state = state(&left, "/config_dump").await?;
    let (right, right_state) = match &options.other {
        Some(name) => {
            let right = Proxy { name: Some(name.clone()) }.find(&mesh).await?;
            let right_state = state(&right, "/config_dump").await?;
            (right, right_state)
        }
        None => control(&mesh).await?,
    };
    // A waypoint has policies of layer 7, and a ztunnel and control those of layer 4.
    let same_policies = (left.kind == Kind::Waypoint) == (right.kind == Kind::Waypoint);
    let kinds: &[&str] =
        if same_policies { &["workload", "service", "policy"] } else { &["workload", "service"] };
    let (compared, differences) = compare(&left_state, &right_state, kinds);
    let found = Differences { left: left.title(), right: right.title(), compared, differences };
    options.show.print(&found)?;
    Ok(if found.differences.is_empty() { Outcome::Fine } else { Outcome::Wrong })
}

async fn control(mesh: &Mesh) -> Result<(Member, State), Failure> {
    let mut why = failed!("no control plane found in {}; name another proxy", mesh.name());
    for control in mesh.of(Kind::Control).await? {
        match state(&control, "/debug/mesh").await {
            Ok(state) => return Ok((control, state)),
            Err(failure) => why = failure,
        }
    }
    Err(why)
}

/// Objects by kind and name.
type State = BTreeMap<(&'static str, String), Value>;

async fn state(member: &Member, path: &str) -> Result<State, Failure> {
    Ok(read(&member.json::<Value>(path).await?))
}

fn read(dump: &Value) -> State {
    let mut state = State::new();
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    for (kind, list) in [("workload", "workloads"), ("service", "services"), ("policy", "policies")]
    {
        for object in dump[list].as_array().into_iter().flatten() {
            let mut object = object.clone();
            if let Some(map) = object.as_object_mut() {
                // Which endpoints a service has follows from the workloads.
                map.remove("endpoints");
            }
            let key = match kind {
                "workload" => text(&object, "uid"),
                "service" => {
                    format!("{}/{}", text(&object, "namespace"), text(&object, "hostname"))
                }
                _ => format!("{}/{}", text(&object, "namespace"), text(&object, "name")),
            };
            state.insert((kind, key), object);
        }
    }
    state
}

/// How many objects there are on either side, and what differs.
fn compare(left: &State, right: &State, kinds: &[&str]) -> (usize, Vec<Difference>) {
    let keys: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let keys: Vec<_> = keys.into_iter().filter(|(kind, _)| kinds.contains(kind)).collect();
    let mut differences = Vec::new();
    for key in &keys {
        let (kind, name) = key;
        let difference = |field: &str, left: &str, right: &str| Difference {
            kind,
            name: name.clone(),
            field: field.to_owned(),
            left: left.to_owned(),
            right: right.to_owned(),
        };
        match (left.get(*key), right.get(*key)) {
            (Some(_), None) => differences.push(difference("", "there", "missing")),
            (None, Some(_)) => differences.push(difference("", "missing", "there")),
            (Some(one), Some(other)) => {
                differences.extend(
                    fields(one, other)
                        .into_iter()
                        .map(|(field, one, other)| difference(&field, &one, &other)),
                );
            }
            (None, None) => {}
        }
    }
    (keys.len(), differences)
}

/// The top fields that differ.
fn fields(one: &Value, other: &Value) -> Vec<(String, String, String)> {
    let (Some(own), Some(theirs)) = (one.as_object(), other.as_object()) else { return Vec::new() };
    let names: BTreeSet<&String> = own.keys().chain(theirs.keys()).collect();
    let text = |value: Option<&Value>| value.map(Value::to_string).unwrap_or_default();
    names
        .into_iter()
        .filter(|name| own.get(*name) != theirs.get(*name))
        .map(|name| (name.clone(), text(own.get(name)), text(theirs.get(name))))
        .collect()
}

impl Listing for Differences {
    fn table(&self) -> Table {
        let columns = [
            Column::text("KIND"),
            Column::text("NAME"),
            Column::text("FIELD"),
            Column::text("LEFT"),
            Column::text("RIGHT"),
        ];
        let empty = format!(
            "{} and {} know the same: {} objects",
            clean(&self.left),
            clean(&self.right),
            self.compared
        );
        let mut table = Table::new(&columns, empty);
        for one in &self.differences {
            let side = |text: &str| match text {
                "missing" => Cell::styled(text, Style::Bad),
                text => text.into(),
            };
            table.row([
                one.kind.into(),
                one.name.as_str().into(),
                one.field.as_str().into(),
                side(&one.left),
                side(&one.right),
            ]);
        }
        table
    }

    fn footer(&self) -> String {
        match self.differences.len() {
            0 => String::new(),
            _ => format!("\nleft: {}; right: {}\n", clean(&self.left), clean(&self.right)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_or_different_is_told_by_field() {
        let left = read(&json!({
            "workloads": [{"uid": "a", "protocol": "HBONE"}, {"uid": "b"}],
            "services": [{"namespace": "shop", "hostname": "store", "endpoints": {"a": 1}}],
            "policies": [{"namespace": "shop", "name": "deny"}],
        }));
        let right = read(&json!({
            "workloads": [{"uid": "a", "protocol": "NONE"}],
            "services": [{"namespace": "shop", "hostname": "store"}],
        }));
        let (count, found) = compare(&left, &right, &["workload", "service"]);
        let told: Vec<_> =
            found.iter().map(|d| (d.name.as_str(), d.field.as_str(), d.right.as_str())).collect();
        assert_eq!((count, told), (3, vec![("a", "protocol", "\"NONE\""), ("b", "", "missing")]));
        let (_, with_policies) = compare(&left, &right, &["workload", "service", "policy"]);
        assert_eq!(with_policies.len(), 3);
        assert_eq!(compare(&left, &left, &["workload"]).1, []);
    }
}
