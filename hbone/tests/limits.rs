//! The table of limits in `docs/operations.md` is whole and true: every limit of the code is a
//! row, and every row's limit, default, metric and test are in the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where limits are.
const CRATES: [&str; 5] = ["hbone", "ztunnel", "ztunnel/node", "waypoint", "control"];
/// Stands for what a limit does not have.
const NONE: &str = "–";

/// Whether a cell names nothing that could be looked for: it is empty, or says why in parentheses.
fn is_words(cell: &str) -> bool {
    cell == NONE || (cell.starts_with('(') && cell.ends_with(')') && cell.len() > 2)
}

/// A row of the table.
#[derive(Debug, PartialEq)]
struct Row {
    file: String,
    name: String,
    default: String,
    metric: String,
    test: String,
}

/// `const NAME: TYPE = VALUE;` of numbers.
#[derive(Debug, PartialEq)]
struct Constant<'a> {
    name: &'a str,
    value: &'a str,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn table() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/operations.md")).expect("operations.md");
    let rows: Vec<Row> = rows(&text).collect();
    assert!(rows.len() > 60, "only {} rows were found: the search is broken", rows.len());
    rows
}

#[test]
fn every_row_of_the_table_of_limits_is_true() {
    let sources = sources();
    let literals: String = sources.iter().filter_map(|p| fs::read_to_string(p).ok()).collect();
    let mut wrong = Vec::new();
    for row in table() {
        let Row { file, name, default, metric, test } = &row;
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        let constant = constants(&text).find(|constant| constant.name == name);
        match constant.map(|constant| evaluate(constant.value)) {
            None if text.contains(&format!("pub {name}: ")) => {}
            None => wrong.push(format!("{file} has no limit {name}")),
            Some(Some(value)) if parse(default) != Some(value) => {
                wrong.push(format!("{file}: {name} is {value}; the table says {default}"));
            }
            Some(_) => {}
        }
        if !is_words(metric) && !is_registered(&literals, metric) {
            wrong.push(format!("{name}: nothing registers {metric}"));
        }
        if !is_words(test) && !exists(test) {
            wrong.push(format!("{name}: there is no test {test}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_limit_of_the_code_is_in_the_table() {
    let listed: BTreeSet<(String, String)> =
        table().into_iter().map(|row| (row.file, row.name)).collect();
    let mut missing = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a source is UTF-8");
        let file = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        for Constant { name, .. } in constants(&text) {
            let is_limit = name.starts_with("MAX_") || name.ends_with("QUEUE");
            if is_limit && !listed.contains(&(file.clone(), name.to_owned())) {
                missing.push(format!("docs/operations.md, \"Limits\" has no {file}::{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn values_are_read_as_people_and_as_programs_write_them() {
    for (code, people, want) in [
        ("4096", "4,096", 4096),
        ("250_000", "250,000", 250_000),
        ("64 << 10", "64 KiB", 65_536),
        ("16 * 1024", "16 KiB", 16_384),
        ("4 * 1024 * 1024", "4 MiB", 4 << 20),
        ("(1 << 31) - 1", "2,147,483,647", (1 << 31) - 1),
    ] {
        assert_eq!((evaluate(code), parse(people)), (Some(want), Some(want)), "{code}, {people}");
    }
    assert_eq!(evaluate("STREAM_WINDOW * MAX_STREAMS"), None);
}

/// The rows of the section "Limits".
fn rows(text: &str) -> impl Iterator<Item = Row> {
    let section = text.split_once("\n## Limits\n").map_or("", |(_, rest)| rest);
    let section = section.split("\n## ").next().unwrap_or_default();
    section.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, limit, default, _, metric, test, _] = cells[..] else { return None };
        let (file, name) = limit.split_once("::")?;
        let owned = str::to_owned;
        let (file, name, default) = (owned(file), owned(name), owned(default));
        Some(Row { file, name, default, metric: owned(metric), test: owned(test) })
    })
}

fn constants(text: &str) -> impl Iterator<Item = Constant<'_>> {
    text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("const ")?;
        let (name, rest) = rest.split_once(": ")?;
        let (kind, value) = rest.split_once(" = ")?;
        let number = ["usize", "u64", "i64", "u32", "u16", "i32"].contains(&kind);
        number.then(|| Constant { name, value: value.trim_end_matches(';') })
    })
}

/// A number, or numbers with `<<`, `*` or `-` between, from left to right.
fn evaluate(expression: &str) -> Option<u64> {
    let plain = expression.replace(['(', ')', '_'], "");
    let mut words = plain.split_whitespace();
    let mut value: u64 = words.next()?.parse().ok()?;
    while let Some(operator) = words.next() {
        let operand: u64 = words.next()?.parse().ok()?;
        value = match operator {
            "<<" => value << operand,
            "*" => value * operand,
            "-" => value - operand,
            _ => return None,
        };
    }
    Some(value)
}

/// `4,096` or `64 KiB`.
fn parse(text: &str) -> Option<u64> {
    let plain = text.replace(',', "");
    let (number, unit) = plain.split_once(' ').unwrap_or((&plain, ""));
    let factor = match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => 1,
    };
    Some(number.parse::<u64>().ok()? * factor)
}

/// Whether a literal of the sources is the end of the metric's name: prefixes are put before
/// it, and counters get `_total`.
fn is_registered(sources: &str, metric: &str) -> bool {
    let name = metric.trim_end_matches("_total");
    let ends = name.match_indices('_').map(|(at, _)| &name[at + 1..]).chain([name]);
    let written =
        |end: &str| ["\"", "}_"].iter().any(|before| sources.contains(&format!("{before}{end}\"")));
    ends.filter(|end| end.len() >= 4).any(written)
}

/// Whether `file.rs::test` is there.
fn exists(test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else { return false };
    let text = fs::read_to_string(root().join(file));
    text.is_ok_and(|text| text.contains(&format!("fn {name}(")))
}

/// The sources of the crates, without their tests.
fn sources() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        CRATES.iter().map(|name| root().join(name).join("src")).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read").flatten() {
            let path = entry.path();
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !is_test {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
