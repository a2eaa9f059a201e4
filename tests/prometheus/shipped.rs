//! What is shipped: dashboards, rules, ways to scrape.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

/// How long `for:` is in a test; a rule without one has none here either.
const FOR: &str = "1s";
/// What Grafana puts in the place of its variables: everything.
const VARIABLES: [(&str, &str); 5] = [
    ("$__rate_interval", "15s"),
    ("$namespace", ".*"),
    ("$workload", ".*"),
    ("$gateway", ".*"),
    ("$node", ".*"),
];
const DASHBOARDS: [&str; 5] = ["mesh", "node", "workload", "waypoint", "control"];

/// A query of a panel.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) dashboard: String,
    pub(crate) panel: String,
    pub(crate) legend: String,
    /// PromQL, without variables.
    pub(crate) expression: String,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> anyhow::Result<String> {
    fs::read_to_string(folder(name)).with_context(|| name.to_owned())
}

fn yaml(name: &str) -> anyhow::Result<Value> {
    control::source::document::parse(&text(name)?)
        .map_err(anyhow::Error::msg)
        .context(name.to_owned())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn dashboards() -> anyhow::Result<Vec<(&'static str, Value)>> {
    let read = |name| {
        let path = format!("manifests/grafana/{name}.json");
        Ok((name, serde_json::from_str(&text(&path)?).context(path)?))
    };
    DASHBOARDS.into_iter().map(read).collect()
}

/// Every query of every panel of every dashboard.
pub(crate) fn queries() -> anyhow::Result<Vec<Query>> {
    let mut all = Vec::new();
    for (name, dashboard) in dashboards()? {
        for panel in list(&dashboard, "panels") {
            for target in list(panel, "targets") {
                all.push(Query {
                    dashboard: name.to_owned(),
                    panel: string(panel, "title").to_owned(),
                    legend: string(target, "legendFormat").to_owned(),
                    expression: filled(string(target, "expr"))?,
                });
            }
        }
    }
    Ok(all)
}

/// A query for the values of each variable, such as `label_values(up, node)`.
pub(crate) fn variables() -> anyhow::Result<Vec<Query>> {
    let mut all = Vec::new();
    for (name, dashboard) in dashboards()? {
        for variable in list(&dashboard["templating"], "list") {
            let Some(asked) = variable["query"]["query"].as_str() else { continue };
            let inner = asked.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (series, label) =
                inner.and_then(|inner| inner.rsplit_once(", ")).context(asked.to_owned())?;
            all.push(Query {
                dashboard: name.to_owned(),
                panel: format!("variable {}", string(variable, "name")),
                legend: label.to_owned(),
                expression: filled(&format!("group by ({label}) ({series})"))?,
            });
        }
    }
    Ok(all)
}

fn filled(expression: &str) -> anyhow::Result<String> {
    let filled = VARIABLES
        .iter()
        .fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    ensure!(!filled.is_empty() && !filled.contains('$'), "not filled in: {expression}");
    Ok(filled)
}

fn rules() -> anyhow::Result<Value> {
    yaml("manifests/prometheus/rules.yaml")
}

fn each_rule(rules: &Value) -> impl Iterator<Item = &Value> {
    list(rules, "groups").flat_map(|group| list(group, "rules"))
}

/// The names of all alerts.
pub(crate) fn alerts() -> anyhow::Result<Vec<String>> {
    Ok(each_rule(&rules()?).map(|rule| string(rule, "alert").to_owned()).collect())
}

/// The rules as they are, but for how long a condition must last.
pub(crate) fn impatient_rules() -> anyhow::Result<Value> {
    let mut rules = rules()?;
    let groups = rules["groups"].as_array_mut().into_iter().flatten();
    for rule in groups.flat_map(|group| group["rules"].as_array_mut().into_iter().flatten()) {
        if let Some(duration) = rule.get_mut("for") {
            *duration = json!(FOR);
        }
    }
    Ok(rules)
}

/// The shipped way to scrape, with `targets` in the place of the cluster's pods: each the labels
/// that Prometheus knows of a pod.
pub(crate) fn scrape(targets: &[Value]) -> anyhow::Result<Value> {
    let mut configs = yaml("manifests/prometheus/scrape.yaml")?["scrape_configs"].take();
    for config in configs.as_array_mut().into_iter().flatten() {
        let config = config.as_object_mut().context("a job")?;
        config.remove("kubernetes_sd_configs").context("pods of the cluster")?;
        let targets: Vec<Value> =
            targets.iter().map(|labels| json!({"targets": ["pod"], "labels": labels})).collect();
        config.insert("static_configs".to_owned(), targets.into());
    }
    Ok(configs)
}

#[test]
fn what_is_made_of_other_files_is_up_to_date() -> anyhow::Result<()> {
    let make = folder("manifests/grafana/make.py");
    let checked = std::process::Command::new("python3").arg(make).arg("--check").output()?;
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let object = yaml("manifests/prometheus/operator/rules.yaml")?;
    assert_eq!(object["spec"], rules()?, "run ./dev manifests");
    Ok(())
}

#[test]
fn every_alert_says_what_is_wrong_what_to_do_and_where_to_read() -> anyhow::Result<()> {
    let rules = rules()?;
    for rule in each_rule(&rules) {
        let (name, notes) = (string(rule, "alert"), &rule["annotations"]);
        assert!(name.starts_with("Ambit"), "{name}");
        let severity = string(&rule["labels"], "severity");
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        for note in ["summary", "description"] {
            assert!(!string(notes, note).is_empty(), "{name} has no {note}");
        }
        let (page, anchor) = string(notes, "runbook").split_once('#').context(name.to_owned())?;
        let page_text = text(page)?;
        assert!(page_text.contains(&format!("`{name}`")), "{name} is not in {page}");
        let headings: Vec<String> = page_text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(|heading| heading.to_lowercase().replace(' ', "-"))
            .collect();
        assert!(headings.iter().any(|heading| heading == anchor), "{name}: no {anchor} in {page}");
    }
    Ok(())
}

#[test]
fn every_panel_has_a_unit_and_says_what_it_shows() -> anyhow::Result<()> {
    for (name, dashboard) in dashboards()? {
        assert_eq!(dashboard["uid"], format!("ambit-{name}"));
        assert_eq!(dashboard["links"][0]["tags"], dashboard["tags"], "{name}: links to the others");
        let variables: Vec<&str> = list(&dashboard["templating"], "list")
            .map(|variable| string(variable, "name"))
            .collect();
        assert_eq!(variables.first(), Some(&"datasource"), "{name}");
        let queries: String = list(&dashboard, "panels")
            .flat_map(|panel| list(panel, "targets"))
            .map(|target| string(target, "expr"))
            .collect();
        for variable in &variables[1..] {
            assert!(queries.contains(&format!("${variable}")), "{name}: {variable} is not used");
        }
        for panel in list(&dashboard, "panels").filter(|panel| panel["type"] != "row") {
            let title = string(panel, "title");
            assert!(string(panel, "description").ends_with('.'), "{name}, {title}");
            assert!(
                !string(&panel["fieldConfig"]["defaults"], "unit").is_empty(),
                "{name}, {title}"
            );
            assert!(panel["targets"][0].is_object(), "{name}, {title}");
        }
    }
    Ok(())
}
