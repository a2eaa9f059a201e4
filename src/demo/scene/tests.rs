use clap::ValueEnum as _;

use super::{Scene, chosen};

#[test]
fn a_scene_brings_those_that_it_needs() {
    use Scene::{Canary, Deny, Enrol, Start, Waypoint};
    for (wanted, played) in [
        (&[][..], &Scene::ALL[..]),
        (&[Start], &[Start]),
        (&[Deny], &[Start, Enrol, Deny]),
        (&[Canary, Deny], &[Start, Enrol, Deny, Waypoint, Canary]),
    ] {
        assert_eq!(chosen(wanted), played, "{wanted:?}");
    }
}

#[test]
fn names_are_those_of_the_command_line_and_needs_come_first() {
    for scene in Scene::ALL {
        assert_eq!(Scene::from_str(scene.name(), false), Ok(scene));
        assert!(scene.needs().iter().all(|needed| *needed < scene), "{scene:?}");
        assert!(scene.title().len() < 62, "{scene:?}: its line is longer than 80");
    }
}
