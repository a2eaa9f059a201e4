//! Bounds of the source: what is beyond them is reported, and the rest goes on.

use std::fs;

use control::limits::{MAX_DEPTH, MAX_FILE_BYTES};

use crate::support::{Mesh, SHOP};

#[tokio::test]
async fn a_file_too_large_and_a_folder_too_deep_are_reported_and_the_rest_is_read() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let large = fs::File::create(mesh.directory().join("large.yaml")).expect("made");
    large.set_len(MAX_FILE_BYTES + 1).expect("it takes no room");
    let mut folder = mesh.directory();
    folder.extend(std::iter::repeat_n("deeper", MAX_DEPTH));
    fs::create_dir_all(&folder).expect("made");
    fs::write(folder.join("unseen.yaml"), "no YAML: [").expect("written");
    mesh.write("node.yaml", "{apiVersion: v1, kind: Node, metadata: {name: node-c}}");
    mesh.until("both are reported, by the names of the limits", |s| {
        let said = |word: &str| s.problems.iter().any(|p| p.message.contains(word));
        said("MAX_FILE_BYTES") && said("MAX_DEPTH") && s.problems.len() == 2
    })
    .await;
    // The node that came with them has come in.
    mesh.join("node-c").await;
}
