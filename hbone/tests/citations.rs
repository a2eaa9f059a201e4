//! What one file says about another is true: sections of the wire contract that docstrings
//! cite, and tests that the README names, exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The contract, as docstrings name it. In two pieces, so that this file cites nothing.
const CONTRACT: &str = concat!("docs/", "wire.md");

#[test]
fn every_cited_section_of_the_contract_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let contract = std::fs::read_to_string(root.join(CONTRACT)).expect(CONTRACT);
    let sections: BTreeSet<&str> = headings(&contract).collect();
    let (mut cited, mut missing) = (0, Vec::new());
    for file in sources(&root) {
        let text = std::fs::read_to_string(&file).expect("a source is UTF-8");
        for (line, section) in citations(&text) {
            cited += 1;
            if !sections.contains(section.as_str()) {
                let file = file.strip_prefix(&root).unwrap_or(&file).display();
                missing.push(format!("{file}:{line}: {CONTRACT} has no section {section:?}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(cited > 50, "only {cited} citations were found: the search is broken");
}

#[test]
fn a_section_has_one_heading() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let contract = std::fs::read_to_string(root.join(CONTRACT)).expect(CONTRACT);
    let mut seen = BTreeSet::new();
    let twice: Vec<&str> = headings(&contract).filter(|heading| !seen.insert(*heading)).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn every_test_that_the_readme_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    let named: Vec<_> = readme.split('`').filter_map(|word| word.split_once(".rs::")).collect();
    let gone = named.iter().filter(|(file, test)| {
        let text = std::fs::read_to_string(root.join(file).with_extension("rs"));
        !text.is_ok_and(|text| text.contains(&format!("fn {test}(")))
    });
    let gone: Vec<String> = gone.map(|(file, test)| format!("{file}.rs has no {test}")).collect();
    assert!(gone.is_empty(), "README.md names tests that are not there: {}", gone.join("\n"));
    assert!(named.len() > 10, "only {} tests were found: the search is broken", named.len());
}

#[test]
fn citations_are_found_however_they_are_broken() {
    let text = "//! One (@, \"Ports\").\n\nfn f() {}\n    /// Two: @,\n    /// \"Client\n    /// state\".\n\
                // Three @, \"A\" and \"B\", \"C\"; @ alone.\nlet four = \"@, \\\"HTTP/2\\\"\";\n";
    let found = citations(&text.replace('@', CONTRACT));
    let found: Vec<(usize, &str)> = found.iter().map(|(line, s)| (*line, s.as_str())).collect();
    let want = [(1, "Ports"), (4, "Client state"), (7, "A"), (7, "B"), (7, "C"), (8, "HTTP/2")];
    assert_eq!(found, want);
}

/// The headings below the title; lines inside code blocks are none.
fn headings(contract: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    contract.lines().filter_map(move |line| {
        in_code ^= line.starts_with("```");
        let (level, text) = line.split_once(' ')?;
        (!in_code && matches!(level, "##" | "###")).then(|| text.trim())
    })
}

/// Line and section of every citation. A citation may be broken over lines of a comment, name
/// several sections, and stand in a string.
fn citations(text: &str) -> Vec<(usize, String)> {
    let (joined, starts) = join(text);
    let mut found = Vec::new();
    for (at, _) in joined.match_indices(CONTRACT) {
        let line = starts.partition_point(|start| *start <= at);
        let mut rest = joined.get(at + CONTRACT.len()..).unwrap_or_default();
        while let Some((section, after)) = next_section(rest) {
            found.push((line, section.to_owned()));
            rest = after;
        }
    }
    found
}

/// A section in quotes after a comma or `and`, and what follows it.
fn next_section(text: &str) -> Option<(&str, &str)> {
    let quoted = text.strip_prefix(", \"").or_else(|| text.strip_prefix(" and \""))?;
    quoted.split_once('"')
}

/// The lines without indentation and comment marks, joined by blanks; and where each begins.
fn join(text: &str) -> (String, Vec<usize>) {
    let (mut joined, mut starts) = (String::with_capacity(text.len()), Vec::new());
    for line in text.lines() {
        let bare = line.trim_start().trim_start_matches("//").trim_start_matches(['/', '!']);
        starts.push(joined.len());
        joined.push_str(&bare.trim().replace("\\\"", "\""));
        joined.push(' ');
    }
    (joined, starts)
}

/// Every Rust and protobuf source of the workspace, sorted.
fn sources(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder can be read").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().expect("an entry has a type");
            let hidden = name.as_encoded_bytes().starts_with(b".") || name == "target";
            if kind.is_dir() && !hidden {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "proto") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
