use super::wrap;

#[test]
fn text_is_broken_between_words() {
    for (case, text, width, want) in [
        ("nothing", "", 10, vec![""]),
        ("fits", "one two", 7, vec!["one two"]),
        ("one too many", "one two", 6, vec!["one", "two"]),
        ("a long word", "a spiffe://cluster.local b", 8, vec!["a", "spiffe://cluster.local", "b"]),
        ("signs of several bytes", "αβγ δεζ", 7, vec!["αβγ δεζ"]),
        ("spaces", "  one \n two ", 10, vec!["one two"]),
    ] {
        assert_eq!(wrap(text, width), want, "{case}");
    }
}
