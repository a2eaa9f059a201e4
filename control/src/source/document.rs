//! Text to documents, documents to raw objects.

use serde_json::Value;

/// A document of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document<'a> {
    /// From 1.
    pub index: usize,
    /// Its text, without the separators.
    pub text: &'a str,
}

/// Splits a file at the lines that begin with `---`, so that one bad document leaves the
/// others readable. Documents without content keep their number and are passed over.
pub fn split(text: &str) -> Vec<Document<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let (mut begin, mut offset, mut index) = (0, 0, 1);
    for line in text.split_inclusive('\n') {
        if is_separator(line) {
            if offset > 0 {
                documents.push(Document { index, text: &text[begin..offset] });
                index += 1;
            }
            begin = offset + line.len();
        }
        offset += line.len();
    }
    documents.push(Document { index, text: &text[begin..] });
    documents.retain(|d| has_content(d.text));
    documents
}

/// `---` alone, with blanks or with a comment after it.
fn is_separator(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("---") else { return false };
    let rest = rest.trim_end();
    rest.is_empty() || rest.trim_start().starts_with('#')
}

fn has_content(text: &str) -> bool {
    text.lines().map(str::trim).any(|l| !(l.is_empty() || l.starts_with('#') || l == "..."))
}

/// Reads YAML 1.2 as a tree: `yes`, `y` and `no` are texts. Aliases, depth and size are bounded
/// by the parser's budget, and a key that is there twice is an error.
///
/// # Errors
/// The parser's words, with line and column within the text.
pub fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options::<Value>(text, options)
        .map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())
}

/// The objects of a document: itself, or the items of a List, lists in lists included.
pub fn flatten(value: Value) -> Vec<Value> {
    let mut out = Vec::new();
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let is_list = kind.ends_with("List") && value.get("items").is_some_and(Value::is_array);
        match value {
            Value::Object(mut map) if is_list => {
                if let Some(Value::Array(items)) = map.remove("items") {
                    stack.extend(items.into_iter().rev());
                }
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests;
