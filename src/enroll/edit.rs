//! A label in a manifest, changed so that the rest of the file stays as its author wrote it.
//!
//! The change is made in the text, line by line, where that can be done; then the document is
//! read again and must be what it was but for the label. Where that fails (aliases, lists of
//! objects, unusual flow style) the one document is written anew, without its comments.

use control::source::document::{parse, split};
use serde_json::{Value, json};

/// A changed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    /// The whole new text.
    pub(crate) text: String,
    /// The document had to be written anew: its comments are gone.
    pub(crate) comments_lost: bool,
}

/// Sets a label of an object in document `index` of `text`, or takes it away (`None`).
///
/// # Errors
/// If the document is not there or cannot be read.
pub(crate) fn label(
    text: &str,
    index: usize,
    is_it: impl Fn(&Value) -> bool,
    key: &str,
    value: Option<&str>,
) -> anyhow::Result<Edited> {
    let documents = split(text);
    let document = documents.iter().find(|document| document.index == index);
    let document = document.ok_or_else(|| anyhow::anyhow!("has no document {index} any more"))?;
    let before = parse(document.text).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut wanted = before.clone();
    let object = object(&mut wanted, &is_it);
    let object = object.ok_or_else(|| anyhow::anyhow!("does not hold that object any more"))?;
    set(object, key, value);
    if wanted == before {
        return Ok(Edited { text: text.to_owned(), comments_lost: false });
    }
    let by_line = by_line(document.text, key, value);
    let kept = by_line.filter(|new| parse(new).is_ok_and(|value| value == wanted));
    let comments_lost = kept.is_none();
    let new = kept.unwrap_or_else(|| testbed::manifests::yaml(&wanted));
    // The document's text is a part of the whole: its place is known by its address.
    let begin = document.text.as_ptr() as usize - text.as_ptr() as usize;
    let end = begin + document.text.len();
    Ok(Edited { text: format!("{}{new}{}", &text[..begin], &text[end..]), comments_lost })
}

/// The object itself, or the one that a List holds.
fn object<'a>(value: &'a mut Value, is_it: &impl Fn(&Value) -> bool) -> Option<&'a mut Value> {
    if is_it(value) {
        return Some(value);
    }
    value.get_mut("items")?.as_array_mut()?.iter_mut().find_map(|item| object(item, is_it))
}

fn set(object: &mut Value, key: &str, value: Option<&str>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    let Some(labels) = labels.as_object_mut() else { return };
    match value {
        Some(value) => drop(labels.insert(key.to_owned(), value.into())),
        None => drop(labels.remove(key)),
    }
    if labels.is_empty() {
        metadata.remove("labels");
    }
}

/// The document with the label changed; none if its style is not understood.
fn by_line(text: &str, key: &str, value: Option<&str>) -> Option<String> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
        last.push('\n');
    }
    let metadata = lines.iter().position(|line| line.starts_with("metadata:"))?;
    if rest(&lines[metadata]).is_some_and(|rest| !rest.is_empty()) {
        lines[metadata] = flow("metadata", &lines[metadata], |metadata| {
            let mut object = json!({ "metadata": metadata });
            set(&mut object, key, value);
            object["metadata"].clone()
        })?;
        return Some(lines.concat());
    }
    let end = block_end(&lines, metadata);
    let indent = (metadata + 1..end).find_map(|n| content_indent(&lines[n]))?;
    let labels = (metadata + 1..end).find(|n| {
        content_indent(&lines[*n]) == Some(indent) && lines[*n].trim().starts_with("labels:")
    });
    let Some(labels) = labels else {
        let pad = " ".repeat(indent);
        let value = value?;
        lines.insert(metadata + 1, format!("{pad}labels:\n{pad}  {key}: {}\n", scalar(value)));
        return Some(lines.concat());
    };
    if rest(&lines[labels]).is_some_and(|rest| !rest.is_empty()) {
        let new = flow("labels", &lines[labels], |labels| {
            let mut object = json!({ "metadata": { "labels": labels } });
            set(&mut object, key, value);
            object["metadata"].get("labels").cloned().unwrap_or(Value::Null)
        });
        match new {
            Some(new) => lines[labels] = new,
            None => drop(lines.remove(labels)),
        }
        return Some(lines.concat());
    }
    let end = block_end_at(&lines, labels, indent).min(end);
    let own: Vec<usize> =
        (labels + 1..end).filter(|n| content_indent(&lines[*n]).is_some()).collect();
    let inner = own.first().and_then(|n| content_indent(&lines[*n])).unwrap_or(indent + 2);
    let names = [format!("{key}:"), format!("\"{key}\":"), format!("'{key}':")];
    let found = own.iter().copied().find(|n| {
        let line = lines[*n].trim_start();
        names.iter().any(|name| line.starts_with(name.as_str()))
    });
    match (found, value) {
        (Some(at), Some(value)) => {
            let comment =
                lines[at].split_once(" #").map(|(_, comment)| comment.trim_end().to_owned());
            let comment = comment.map(|comment| format!(" #{comment}")).unwrap_or_default();
            lines[at] = format!("{}{key}: {}{comment}\n", " ".repeat(inner), scalar(value));
        }
        (Some(at), None) => {
            lines.remove(at);
            if own.len() == 1 {
                lines.remove(labels);
            }
        }
        (None, Some(value)) => {
            lines.insert(labels + 1, format!("{}{key}: {}\n", " ".repeat(inner), scalar(value)));
        }
        (None, None) => {}
    }
    Some(lines.concat())
}

/// What stands behind the colon of a line, without a comment.
fn rest(line: &str) -> Option<&str> {
    let rest = line.split_once(':')?.1.trim();
    Some(if rest.starts_with('#') { "" } else { rest })
}

/// A line `name: {…}` with its mapping changed; none if it does not end on this line, or if
/// nothing is left of it.
fn flow(name: &str, line: &str, change: impl Fn(Value) -> Value) -> Option<String> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let value = parse(line.trim_start()).ok()?.get(name)?.clone();
    let changed = if value.is_null() { change(json!({})) } else { change(value) };
    if changed.is_null() {
        return None;
    }
    let comment = line.rsplit_once('}').map(|(_, comment)| comment.trim_end()).unwrap_or_default();
    Some(format!("{indent}{name}: {}{comment}\n", flow_text(&changed)))
}

fn flow_text(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pair =
                |(key, value): (&String, &Value)| format!("{}: {}", scalar(key), flow_text(value));
            format!("{{{}}}", map.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(flow_text).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// As it is where no reader could take it for something else, else in quotes.
fn scalar(text: &str) -> String {
    testbed::manifests::yaml(&Value::from(text)).trim_end().to_owned()
}

/// Columns before what a line says; none if it says nothing.
fn content_indent(line: &str) -> Option<usize> {
    let content = line.trim_start();
    let says = !content.trim_end().is_empty() && !content.starts_with('#');
    says.then(|| line.len() - content.len())
}

fn block_end(lines: &[String], at: usize) -> usize {
    block_end_at(lines, at, 0)
}

/// The first line after `at` that says something and is not deeper than `indent`.
fn block_end_at(lines: &[String], at: usize, indent: usize) -> usize {
    let out = |n: &usize| content_indent(&lines[*n]).is_some_and(|own| own <= indent);
    (at + 1..lines.len()).find(out).unwrap_or(lines.len())
}

#[cfg(test)]
mod tests;
