use super::{Segment, is_records, join};

/// A record of the given type and length.
fn record(kind: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![kind, 3, 3];
    bytes.extend((length as u16).to_be_bytes());
    bytes.extend(vec![0xaa; length]);
    bytes
}

#[test]
fn segments_are_joined_whatever_their_order() {
    type Row<'a> = (&'a str, Option<u32>, &'a [Segment<'a>], bool, &'a [&'a [u8]]);
    let rows: [Row<'_>; 7] = [
        ("in order", Some(10), &[(10, b"ab"), (12, b"cd")], true, &[b"abcd"]),
        ("out of order", Some(10), &[(12, b"cd"), (10, b"ab")], true, &[b"abcd"]),
        ("sent again", Some(10), &[(10, b"ab"), (10, b"ab"), (12, b"c")], true, &[b"abc"]),
        ("overlapping", Some(10), &[(10, b"abc"), (11, b"bcd")], true, &[b"abcd"]),
        ("a gap", Some(10), &[(10, b"a"), (20, b"b")], true, &[b"a", b"b"]),
        ("first byte missing", Some(10), &[(11, b"b")], false, &[b"b"]),
        ("numbers wrap", Some(u32::MAX), &[(u32::MAX, b"ab"), (1, b"c")], true, &[b"abc"]),
    ];
    for (case, start, segments, whole, want) in rows {
        let (got_whole, got) = join(start, segments.to_vec());
        assert_eq!(
            (got_whole, got),
            (whole, want.iter().map(|part| part.to_vec()).collect()),
            "{case}"
        );
    }
}

#[test]
fn only_tls_records_are_tls() {
    let long = record(23, 16_640);
    let cut = &long[..1000];
    let rows: [(&str, &[u8], bool); 8] = [
        ("nothing", b"", true),
        ("a record", &record(22, 200), true),
        ("several", &[record(22, 5), record(20, 1), record(23, 40)].concat(), true),
        ("the last cut short", cut, true),
        ("too long", &record(23, 16_641), false),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n", false),
        ("HTTP after a record", &[record(22, 5), b"GET /".to_vec()].concat(), false),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false),
    ];
    for (case, bytes, want) in rows {
        assert_eq!(is_records(bytes), want, "{case}");
    }
}
