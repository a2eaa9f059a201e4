//! The Gateway API's own conformance suite, its profiles for meshes: `./dev conformance`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use cluster::certificates::Authority;
use cluster::image::Image;
use cluster::plan::Plan;
use cluster::{Cluster, folders};
use testbed::Testbed;

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");

/// The image that the suite's manifests name.
const ECHO: &str = "registry.k8s.io/gateway-api/echo-advanced:v1.5.1";

/// Every feature that a test of the profiles asks for.
const FEATURES: [&str; 17] = [
    "Mesh",
    "MeshClusterIPMatching",
    "MeshConsumerRoute",
    "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect",
    "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteQueryParamMatching",
    "MeshHTTPRouteNamedRouteRule",
    "HTTPRoute",
    "HTTPRouteParentRefPort",
    "HTTPRouteResponseHeaderModification",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "GRPCRoute",
];

/// The namespaces of the suite are enrolled, and each gets a waypoint.
const LABELS: &str = "istio.io/dataplane-mode=ambient,ambit.dev/waypoint=waypoint";

/// The program that the suite's pods run, with a certificate for its port with TLS.
fn echo(folder: &Path, certificates: &Path) -> anyhow::Result<Image> {
    let authority = Authority::create(certificates, "echo-ca")?;
    let pair = authority.issue("echo", "echo", &[], &["echo"], &[])?;
    let image = Image::new(ECHO, &["/bin/server"]);
    let image = image.with(&folder.join("server"))?.with(&folder.join("client"))?;
    Ok(image.with_file("/cert.crt", &pair.certificate).with_file("/cert.key", &pair.key))
}

/// Where the suite's report is kept.
fn report() -> anyhow::Result<PathBuf> {
    let folder = folders::target().join("conformance");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join("report.yaml"))
}

testbed::scenario! {
    #[ignore = "starts two kubelets"]
    within 1800;
    async fn the_mesh_profiles_of_the_suite_pass(_bed: Testbed) -> anyhow::Result<()> {
        let program = Path::new(AMBIT).with_file_name("ambit-cluster");
        let plan = Plan::new("conformance", 2, &folders::target(), &program);
        let binaries = folders::binaries()?;
        let say = |what: &str| eprintln!("{what}");
        let (suite, folder) = binaries.suite(folders::source(), &say)?;
        let cluster = Cluster::start(&plan, &binaries, &[], &say).await?;
        let echo = echo(&folder, &plan.certificates())?;
        for node in cluster.nodes() {
            node.import(&echo)?;
        }
        cluster.kubectl().apply(&binaries.gateway_api()?)?;
        say("installing Ambit");
        cluster.install_ambit(&plan)?;

        let report = report()?;
        let mut command = Command::new(suite);
        command
            .args(["-test.v", "-test.timeout=25m", "--conformance-profiles=MESH-HTTP,MESH-GRPC"])
            .arg(format!("--supported-features={}", FEATURES.join(",")))
            .arg(format!("--namespace-labels={LABELS}"))
            .arg(format!("--report-output={}", report.display()))
            .args(["--organization=ambit", "--project=ambit", "--url=https://ambit.dev"])
            .arg(format!("--version={}", env!("CARGO_PKG_VERSION")))
            .args(["--contact=https://ambit.dev", "--allow-crds-mismatch"])
            .env("KUBECONFIG", plan.kubeconfig());
        // For trying one test again.
        let test = std::env::var("AMBIT_CONFORMANCE_TEST").unwrap_or_default();
        if !test.is_empty() {
            command.arg(format!("--run-test={test}"));
        }
        let status = tokio::task::spawn_blocking(move || command.status()).await??;
        ensure!(status.success(), "the suite ended with {status}");
        say(&format!("the report is {}", report.display()));
        Ok(())
    }
}
