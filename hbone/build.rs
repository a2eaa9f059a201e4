//! Compiles the wire messages; no `protoc` is needed.

const PROTOS: &[&str] = &[
    "ambit/node.proto",
    "envoy/discovery.proto",
    "istio/authorization.proto",
    "istio/ca.proto",
    "istio/workload.proto",
    "istio/zds.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    tonic_prost_build::configure().include_file("wire.rs").compile_fds(descriptors)?;
    Ok(())
}
