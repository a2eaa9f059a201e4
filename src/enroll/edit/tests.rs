use super::*;

const MODE: &str = "istio.io/dataplane-mode";

fn shop(value: &Value) -> bool {
    value["metadata"]["name"] == "shop"
}

/// Sets and takes away; what is taken away again leaves the text as it was, if `back`.
fn edited(text: &str, value: Option<&str>) -> Edited {
    label(text, 1, shop, MODE, value).expect("edited")
}

#[test]
fn a_label_comes_into_the_text_and_the_rest_stays() {
    for (case, before, after) in [
        (
            "no labels",
            "# the shop\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop # ours\n",
            "# the shop\napiVersion: v1\nkind: Namespace\nmetadata:\n  labels:\n    istio.io/dataplane-mode: ambient\n  name: shop # ours\n",
        ),
        (
            "other labels",
            "kind: Namespace\nmetadata:\n    name: shop\n    labels:\n        # who owns it\n        team: a\nspec: {}\n",
            "kind: Namespace\nmetadata:\n    name: shop\n    labels:\n        istio.io/dataplane-mode: ambient\n        # who owns it\n        team: a\nspec: {}\n",
        ),
        (
            "another value",
            "kind: Namespace\nmetadata:\n  labels:\n    istio.io/dataplane-mode: none # for now\n  name: shop\n",
            "kind: Namespace\nmetadata:\n  labels:\n    istio.io/dataplane-mode: ambient # for now\n  name: shop\n",
        ),
        (
            "flow style",
            "kind: Namespace\nmetadata: {name: shop} # short\n",
            "kind: Namespace\nmetadata: {labels: {istio.io/dataplane-mode: ambient}, name: shop} # short\n",
        ),
        (
            "flow labels",
            "kind: Namespace\nmetadata:\n  labels: {team: a}\n  name: shop\n",
            "kind: Namespace\nmetadata:\n  labels: {istio.io/dataplane-mode: ambient, team: a}\n  name: shop\n",
        ),
        (
            "no newline at the end",
            "kind: Namespace\nmetadata:\n  name: shop",
            "kind: Namespace\nmetadata:\n  labels:\n    istio.io/dataplane-mode: ambient\n  name: shop\n",
        ),
    ] {
        let found = edited(before, Some("ambient"));
        assert!(!found.comments_lost, "{case}");
        // The order of keys in a mapping of one line is not kept by every reader.
        let same = parse(&found.text) == parse(after);
        assert!(same, "{case}: {}", found.text);
        for comment in before.split_inclusive('\n').filter_map(|line| line.split_once('#')) {
            assert!(found.text.contains(comment.1.trim()), "{case}: {}", found.text);
        }
        if !case.starts_with("flow") {
            assert_eq!(found.text, after, "{case}");
        }
    }
}

#[test]
fn what_came_goes_again_without_a_trace() {
    for before in [
        "kind: Namespace\nmetadata:\n  name: shop # ours\n",
        "kind: Namespace\nmetadata:\n  name: shop\n  labels:\n    team: a # x\nspec: {}\n",
    ] {
        let with = edited(before, Some("ambient"));
        let without = edited(&with.text, None);
        assert_eq!(without, Edited { text: before.to_owned(), comments_lost: false });
        assert_eq!(edited(before, None).text, before, "what is not there cannot go");
    }
    let last =
        edited("metadata:\n  labels: {istio.io/dataplane-mode: ambient}\n  name: shop\n", None);
    assert_eq!(last.text, "metadata:\n  name: shop\n");
}

#[test]
fn only_the_one_document_changes() {
    let file = "# a\nkind: Namespace\nmetadata:\n  name: bank\n---\nkind: Namespace\nmetadata:\n  name: shop\n---\n# c\nkind: Service\n";
    let found = label(file, 2, shop, MODE, Some("ambient")).expect("edited");
    assert!(!found.comments_lost);
    assert_eq!(
        found.text,
        file.replace(
            "  name: shop",
            "  labels:\n    istio.io/dataplane-mode: ambient\n  name: shop"
        )
    );
    assert!(label(file, 9, shop, MODE, None).is_err());
    assert!(label(file, 1, shop, MODE, None).is_err());
}

#[test]
fn what_is_not_understood_is_written_anew_and_said_so() {
    for text in [
        "kind: NamespaceList\n# lost\nitems:\n- kind: Namespace\n  metadata:\n    name: shop\n",
        "kind: Namespace\nmetadata: # lost\n  {name: shop,\n   labels: {a: b}}\n",
    ] {
        let found = edited(text, Some("ambient"));
        assert!(found.comments_lost, "{}", found.text);
        let mut value = parse(&found.text).expect("still YAML");
        let object = object(&mut value, &shop).expect("still there");
        assert_eq!(object["metadata"]["labels"][MODE], "ambient");
    }
}
