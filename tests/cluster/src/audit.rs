//! Which rights the service accounts of a namespace used, by the API server's audit log, beside
//! those that they were granted.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Context as _;
use serde_json::Value;

use crate::kubectl::Kubectl;
use crate::plan::Plan;

/// Who did what to which kind of object, for pods' accounts only.
pub const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - {level: Metadata, userGroups: ['system:serviceaccounts']}
  - {level: None}
";

/// A right: one verb on one kind of object, of all names or of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    account: String,
    verb: String,
    group: String,
    resource: String,
    name: Option<String>,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, verb, group, resource, name } = self;
        write!(f, "{account}: {verb} {resource}")?;
        if !group.is_empty() {
            write!(f, ".{group}")?;
        }
        name.as_ref().map_or(Ok(()), |name| write!(f, " {name}"))
    }
}

/// What was used, and what was refused.
#[derive(Debug, Default)]
pub struct Used {
    rights: BTreeSet<Right>,
    /// Calls that were refused for want of a right.
    pub refused: BTreeSet<String>,
}

/// What the service accounts of `namespace` asked for.
///
/// # Errors
/// If the log cannot be read.
pub fn used(plan: &Plan, namespace: &str) -> anyhow::Result<Used> {
    let log = std::fs::read_to_string(plan.audit()).context("the audit log")?;
    let prefix = format!("system:serviceaccount:{namespace}:");
    let mut used = Used::default();
    for line in log.lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let user = event["user"]["username"].as_str().unwrap_or_default();
        let (Some(account), Some(object)) =
            (user.strip_prefix(&prefix), event["objectRef"].as_object())
        else {
            continue;
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let resource = match text("subresource") {
            "" => text("resource").to_owned(),
            sub => format!("{}/{sub}", text("resource")),
        };
        let right = |verb: &str| Right {
            account: account.to_owned(),
            verb: verb.to_owned(),
            group: text("apiGroup").to_owned(),
            resource: resource.clone(),
            name: Some(text("name").to_owned()).filter(|name| !name.is_empty()),
        };
        let verb = event["verb"].as_str().unwrap_or_default();
        let code = event["responseStatus"]["code"].as_u64();
        if code == Some(403) {
            used.refused.insert(right(verb).to_string());
            continue;
        }
        used.rights.insert(right(verb));
        // What is applied and was not there is created.
        if verb == "patch" && code == Some(201) {
            used.rights.insert(right("create"));
        }
    }
    Ok(used)
}

/// What roles grant to the service accounts of `namespace`.
///
/// # Errors
/// If they cannot be read.
pub fn granted(kubectl: &Kubectl, namespace: &str) -> anyhow::Result<BTreeSet<Right>> {
    let mut granted = BTreeSet::new();
    let bindings = ["clusterrolebindings,rolebindings", "-A"];
    for binding in kubectl.get(&bindings)?["items"].as_array().into_iter().flatten() {
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        let ours = subjects.filter(|subject| subject["namespace"] == namespace);
        let accounts: Vec<&str> = ours.filter_map(|subject| subject["name"].as_str()).collect();
        if accounts.is_empty() {
            continue;
        }
        let (kind, name) = (&binding["roleRef"]["kind"], &binding["roleRef"]["name"]);
        let (kind, name) = (kind.as_str().unwrap_or_default(), name.as_str().unwrap_or_default());
        let within = binding["metadata"]["namespace"].as_str().unwrap_or(namespace);
        let role = kubectl.get(&[kind, name, "-n", within])?;
        for rule in role["rules"].as_array().into_iter().flatten() {
            for account in &accounts {
                grant(rule, account, &mut granted);
            }
        }
    }
    Ok(granted)
}

fn grant(rule: &Value, account: &str, granted: &mut BTreeSet<Right>) {
    let texts = |key: &str| -> Vec<String> {
        let list = rule[key].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let names: Vec<Option<String>> = match texts("resourceNames") {
        none if none.is_empty() => vec![None],
        names => names.into_iter().map(Some).collect(),
    };
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for verb in texts("verbs") {
                for name in &names {
                    granted.insert(Right {
                        account: account.to_owned(),
                        verb: verb.clone(),
                        group: group.clone(),
                        resource: resource.clone(),
                        name: name.clone(),
                    });
                }
            }
        }
    }
}

impl Used {
    /// Those of `granted` that nobody made use of.
    pub fn unused<'a>(&self, granted: &'a BTreeSet<Right>) -> Vec<&'a Right> {
        let covers = |right: &Right, used: &Right| {
            let same = (&right.account, &right.verb, &right.group, &right.resource)
                == (&used.account, &used.verb, &used.group, &used.resource);
            // What names no object, such as a list, needs a right on all.
            same && (right.name.is_none() || right.name == used.name)
        };
        granted.iter().filter(|right| !self.rights.iter().any(|used| covers(right, used))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_right_that_nobody_uses_is_found() {
        let mut granted = BTreeSet::new();
        let rule = json!({"apiGroups": [""], "resources": ["secrets"],
            "resourceNames": ["a", "b"], "verbs": ["get"]});
        grant(&rule, "control", &mut granted);
        let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]});
        grant(&rule, "control", &mut granted);
        let right = |verb: &str, resource: &str, name: Option<&str>| Right {
            account: "control".to_owned(),
            verb: verb.to_owned(),
            group: String::new(),
            resource: resource.to_owned(),
            name: name.map(str::to_owned),
        };
        let rights = [right("get", "secrets", Some("a")), right("list", "pods", None)];
        let used = Used { rights: BTreeSet::from(rights), refused: BTreeSet::new() };
        let unused: Vec<String> = used.unused(&granted).iter().map(ToString::to_string).collect();
        assert_eq!(unused, ["control: get secrets b", "control: watch pods"]);
    }
}
