//! Compiles the messages; no `protoc` is needed.

/// Messages that are JSON too.
const JSON: &[&str] = &[
    "Answer", "Backend", "Bucket", "Certificate", "Connection", "Cost", "Counters", "Edge",
    "EdgeKey", "Event", "Filter", "Incident", "Origin", "Party", "Pod", "Policy", "Query", "Route",
    "Sketch", "State",
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
        config =
            config.message_attribute(format!(".ambit.observe.v1.{name}"), "#[derive(PartialOrd, Ord)]");
    }
    config.compile_fds(descriptors)?;
    Ok(())
}
