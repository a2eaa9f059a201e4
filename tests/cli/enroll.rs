//! Enrolling by the command: the label in the manifest, and the wait until that is proven.

use std::fs;

use testbed::mesh::Pair;
use testbed::{Testbed, eventually};

use crate::said::{AMBIT, ambit};

testbed::scenario! {
    async fn a_namespace_comes_and_goes_and_its_file_stays_as_it_was(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::plain(&bed, AMBIT).await?;
        // As a person would have written it.
        let file = mesh.manifests().path().join("namespace.shop.yaml");
        let before = "# the shop\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop # ours\n";
        fs::write(&file, before)?;
        let said = ambit(&bed, "enroll shop").await?.ends(0);
        said.has(&["Namespace shop: istio.io/dataplane-mode=ambient"])
            .has(&["2 pods enrolled and proven after"]);
        let with = fs::read_to_string(&file)?;
        assert!(with.contains("# the shop") && with.contains("# ours"), "{with}");
        store.is_enrolled().await?;
        assert_eq!(web.is_seen_as(store.at4(7)).await?, web.ip4().to_string());
        ambit(&bed, "enroll shop").await?.ends(0).has(&["(it was so)"]);
        ambit(&bed, "unenroll shop").await?.ends(0).has(&["2 pods not in the mesh"]);
        assert_eq!(fs::read_to_string(&file)?, before);
        store.is_plain().await?;
        ambit(&bed, "enroll shpo").await?.ends(4).complains("did you mean shop?");
        Ok(())
    }

    async fn one_pod_comes_alone_and_leaves_alone(bed: Testbed) -> anyhow::Result<()> {
        let Pair { web, store, .. } = Pair::plain(&bed, AMBIT).await?;
        ambit(&bed, "enrol shop/store").await?.ends(0).has(&["1 pods enrolled and proven"]);
        store.is_enrolled().await?;
        web.is_plain().await?;
        let said = ambit(&bed, "status").await?.ends(0);
        said.has(&["store", "pod label", "enrolled"]).has(&["web", "not enrolled"]);
        ambit(&bed, "enroll shop").await?.ends(0).has(&["2 pods enrolled"]);
        // The namespace's label would bring it back: the pod says no itself.
        ambit(&bed, "unenroll shop/store").await?.ends(0).has(&["dataplane-mode=none"]);
        store.is_plain().await?;
        web.is_enrolled().await?;
        ambit(&bed, "enroll shop/stroe").await?.ends(4).complains("did you mean shop/store?");
        Ok(())
    }

    async fn what_does_not_come_true_is_told_in_time(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, .. } = Pair::plain(&bed, AMBIT).await?;
        let node = mesh.node("node-b")?;
        node.kill().await?;
        let said = ambit(&bed, "enroll shop --wait 2").await?.ends(1);
        said.complains("not so after 2 s").complains("shop/store").complains("ambit check -n shop");
        node.start()?;
        eventually("it comes true", testbed::mesh::PATIENCE, async || {
            ambit(&bed, "enroll shop").await.is_ok_and(|said| said.code == Some(0))
        })
        .await?;
        Ok(())
    }
}
