//! What to try while the demo stays up.

use super::narrator::Narrator;
use super::place::Place;
use super::stage::Stage;

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
    let directory = place.path().display();
    narrator.note("");
    narrator.note("Change a file below; the mesh reads it again by itself:");
    narrator.command(format!("{directory}/manifests/"));
    narrator.note("Enrolment is a label in namespace.shop.yaml.");
    if stage.engine.is_some() {
        narrator.note("Who may do what is in relations.txt, which the policy engine reads.");
    }
    narrator.note("Logs of every program, ztunnels under their node's name:");
    narrator.command(format!("{directory}/logs/"));
}

/// This program as a person would type it here.
fn program() -> String {
    let exe = std::env::current_exe().unwrap_or_default();
    let here = std::env::current_dir().unwrap_or_default();
    exe.strip_prefix(&here).unwrap_or(&exe).display().to_string()
}
