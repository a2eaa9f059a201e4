//! Compiles the wire messages; no `protoc` is needed.

const PROTOS: &[&str] = &[
    "ambit/node.proto",
    "ambit/waypoint.proto",
    "envoy/discovery.proto",
    "envoy/ext_authz.proto",
    "istio/authorization.proto",
    "istio/ca.proto",
    "istio/workload.proto",
    "istio/zds.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    tonic_prost_build::configure()
        .include_file("wire.rs")
        // Sorted maps: equal resources have equal bytes, so that their versions are stable.
        .btree_map(".istio.workload")
        .btree_map(".ambit.node")
        .compile_fds(descriptors)?;
    Ok(())
}
