//! Another control plane, beside the mesh.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::json;
use testbed::manifests::authorization_policy;
use testbed::mesh::PATIENCE;
use testbed::{Process, Testbed, eventually};
use tokio::time::sleep;

use crate::lab::OTHER_CONTROL;

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
const HOUR: Duration = Duration::from_hours(1);

/// Another control plane, whose root ends soon and whose output nobody reads.
pub(crate) struct OtherControl {
    objects: PathBuf,
    _process: Process,
}

impl OtherControl {
    pub(crate) fn start(bed: &Testbed) -> anyhow::Result<Self> {
        let (state, objects) = (bed.directory("other-state")?, bed.directory("other-objects")?);
        let key = KeyPair::generate()?;
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        root.not_before = (SystemTime::now() - HOUR).into();
        root.not_after = (SystemTime::now() + 20 * 24 * HOUR).into();
        fs::write(state.join("root-key.pem"), key.serialize_pem())?;
        fs::write(state.join("root-cert.pem"), root.self_signed(&key)?.pem())?;
        Ok(Self {
            _process: bed
                .command("bash")
                .args(["-c", &format!("exec {AMBIT} control > >(sleep 600)")])
                .named("control-other")
                .env("CONTROL_DIRECTORY", &objects)
                .env("CONTROL_STATE", &state)
                .env("CONTROL_LISTEN", "127.0.0.1:15022")
                .env("CONTROL_ADMIN", format!("127.0.0.1:{OTHER_CONTROL}"))
                .spawn()?,
            objects,
        })
    }

    /// Gives it much to complain about, again and again.
    pub(crate) async fn talks(&self) -> anyhow::Result<()> {
        eventually("the other control serves", PATIENCE, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", OTHER_CONTROL)).await.is_ok()
        })
        .await?;
        for round in 0..6 {
            let object = |number: u32| {
                let spec = json!({"action": format!("NONE{round}")});
                let mut policy = authorization_policy((&format!("n{number}"), "p"), "DENY", spec);
                policy["spec"]["action"] = json!(format!("NONE{round}"));
                format!("{policy}\n---\n")
            };
            fs::write(self.objects.join("bad.yaml"), (0..900).map(object).collect::<String>())?;
            sleep(Duration::from_millis(1200)).await;
        }
        Ok(())
    }
}
