//! JSON values as YAML for people: block style, strings quoted only where they must be.

use serde_json::Value;

/// The YAML of a value, ending with a newline.
pub fn yaml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(_) | Value::Array(_) if !is_empty(value) => block(value, 0, &mut text),
        _ => {
            text.push_str(&scalar(value));
            text.push('\n');
        }
    }
    text
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    }
}

fn block(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(map) => {
            for (number, (key, value)) in map.iter().enumerate() {
                if number > 0 {
                    indent(depth, text);
                }
                text.push_str(&string(key));
                text.push(':');
                member(value, depth, text);
            }
        }
        Value::Array(list) => {
            for (number, value) in list.iter().enumerate() {
                if number > 0 {
                    indent(depth, text);
                }
                text.push_str("- ");
                if is_empty(value) {
                    text.push_str(&scalar(value));
                    text.push('\n');
                } else {
                    block(value, depth + 1, text);
                }
            }
        }
        _ => {}
    }
}

/// What follows `key:`.
fn member(value: &Value, depth: usize, text: &mut String) {
    if is_empty(value) {
        text.push(' ');
        text.push_str(&scalar(value));
        text.push('\n');
        return;
    }
    text.push('\n');
    indent(depth + 1, text);
    block(value, depth + 1, text);
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(found) => string(found),
        other => other.to_string(),
    }
}

/// Plain where no reader could take it for something else, else in JSON's quotes, which YAML
/// shares.
fn string(found: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-./_".contains(&byte);
    let word = found.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && found.bytes().all(plain)
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&found.to_lowercase().as_str());
    if word { found.to_owned() } else { Value::String(found.to_owned()).to_string() }
}
