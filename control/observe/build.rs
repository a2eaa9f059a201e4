//! Compiles the messages (no `protoc` is needed), and takes in the pages if they are built.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Messages that are JSON too.
const JSON: &[&str] = &[
    "Answer",
    "Backend",
    "Bucket",
    "Certificate",
    "Connection",
    "Cost",
    "Counters",
    "Edge",
    "EdgeKey",
    "Event",
    "Filter",
    "Incident",
    "Origin",
    "Party",
    "Pod",
    "Policy",
    "Query",
    "Route",
    "Sketch",
    "State",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["observe.proto", "ring.proto"], ["proto"])?;
    let mut config = tonic_prost_build::configure().include_file("pb.rs");
    for name in JSON {
        // One definition for the stream to control, for the files and for JSON.
        config = config.message_attribute(
            format!(".ambit.observe.v1.{name}"),
            "#[derive(serde::Serialize, serde::Deserialize)] \
             #[serde(rename_all = \"camelCase\", default)]",
        );
    }
    for name in ["EdgeKey", "Party"] {
        config = config
            .message_attribute(format!(".ambit.observe.v1.{name}"), "#[derive(PartialOrd, Ord)]");
    }
    config.compile_fds(descriptors)?;
    pages()
}

/// Where `./dev web` puts the pages; `AMBIT_WEB` says otherwise.
const PAGES: &str = "../../target/web";

/// Writes a table of the files of the pages: name, bytes, whether they are compressed.
fn pages() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-env-changed=AMBIT_WEB");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let from = env::var("AMBIT_WEB").map_or_else(|_| root.join(PAGES), PathBuf::from);
    // Of what is not there, cargo would think at every build that it has changed.
    let _ = fs::create_dir_all(&from);
    println!("cargo:rerun-if-changed={}", from.display());
    let mut table = String::from("&[");
    if env::var_os("CARGO_FEATURE_PAGES").is_some() {
        for name in files(&from) {
            let path = from.join(&name);
            println!("cargo:rerun-if-changed={}", path.display());
            let (shown, compressed) = match name.strip_suffix(".gz") {
                Some(shown) => (shown, true),
                None => (name.as_str(), false),
            };
            writeln!(
                table,
                "File {{ name: {shown:?}, compressed: {compressed}, bytes: include_bytes!({:?}) }},",
                path.canonicalize()?
            )?;
        }
    }
    table.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("pages.rs"), table)?;
    Ok(())
}

/// Names of the files; of those that are there compressed too, only that.
fn files(from: &Path) -> Vec<String> {
    let entries = fs::read_dir(from).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    let all = names.clone();
    names.retain(|name| !all.contains(&format!("{name}.gz")) && !name.ends_with(".map"));
    names
}
