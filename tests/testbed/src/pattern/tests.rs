use super::{Pattern, Sum, Summing, write};

#[test]
fn the_sum_does_not_depend_on_how_bytes_are_cut() {
    let mut bytes = Vec::new();
    write(&mut bytes, 100_003).expect("a vector takes all");
    let want = Sum::of_pattern(100_003);
    for step in [1, 3, 7, 8, 9, 4096, 200_000] {
        let mut sum = Summing::default();
        bytes.chunks(step).for_each(|part| sum.add(part));
        assert_eq!(sum.finish(), want, "{step}");
    }
    assert_eq!(want.to_string().parse::<Sum>().expect("its own text"), want);
}

#[test]
fn a_byte_lost_doubled_moved_or_changed_is_seen() {
    let mut bytes = Vec::new();
    write(&mut bytes, 1000).expect("a vector takes all");
    let want = Sum::of_pattern(1000);
    let mut lost = bytes.clone();
    lost.remove(500);
    let mut doubled = bytes.clone();
    doubled.insert(500, bytes[500]);
    let mut moved = bytes.clone();
    moved.swap(500, 600);
    let mut changed = bytes.clone();
    changed[500] ^= 1;
    for (case, bytes) in
        [("lost", lost), ("doubled", doubled), ("moved", moved), ("changed", changed)]
    {
        assert_ne!(Sum::of(&mut bytes.as_slice()).expect("a slice"), want, "{case}");
        let found = Pattern::default().check(&bytes);
        assert!(found.is_err_and(|at| (500..=501).contains(&at)) || case == "doubled", "{case}");
    }
    assert_eq!(Pattern::default().check(&bytes), Ok(()));
}

#[test]
fn text_that_is_no_sum_is_refused() {
    for text in ["", "5", "x 00", "5 xyz"] {
        assert!(text.parse::<Sum>().is_err(), "{text:?}");
    }
}
