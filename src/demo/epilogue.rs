//! What to try while the demo stays up.

use super::narrator::Narrator;
use super::place::Place;
use super::stage::Stage;

/// Files that are worth a change, and what it does.
const FILES: [(&str, &str); 4] = [
    ("namespace.shop.yaml", "Without the label dataplane-mode the shop leaves the mesh."),
    ("authorizationpolicy.shop.orders-paths.yaml", "Add /admin to its paths."),
    ("httproute.shop.payments-canary.yaml", "Move the weights of payments v1 and v2."),
    ("relations.txt", "What the policy engine knows: who may read or write what."),
];

/// Tells it.
pub(super) fn tell(narrator: &mut Narrator, stage: &Stage, place: &Place) {
    let ambit = program();
    narrator.note("");
    narrator.note("The mesh stays up until you press Ctrl-C. In another terminal, try:");
    narrator.command(format!("{ambit} exec shop/customer -- curl -s http://web.shop/"));
    narrator.command(format!("{ambit} exec shop/web -- curl -si http://orders.shop/admin"));
    if stage.has_catalogue() {
        narrator.command(format!("{ambit} exec shop/web -- curl -s http://catalogue.shop/"));
    }
    narrator.command(format!("{ambit} exec infra -- tcpdump -nAi to-node-b port 15008"));
    let manifests = place.path().join("manifests");
    narrator.note("");
    narrator.note("Change or remove a file; the mesh follows within a second:");
    for (file, effect) in FILES {
        let file = manifests.join(file);
        if file.is_file() {
            narrator.command(file.display());
            narrator.note(effect);
        }
    }
    narrator.note("");
    narrator.note("Logs of every program, a ztunnel's under its node's name:");
    narrator.command(format!("{}/logs/", place.path().display()));
}

/// This program as a person would type it here.
fn program() -> String {
    let exe = std::env::current_exe().unwrap_or_default();
    let here = std::env::current_dir().unwrap_or_default();
    exe.strip_prefix(&here).unwrap_or(&exe).display().to_string()
}
