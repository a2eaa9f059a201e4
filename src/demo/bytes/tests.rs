use super::{data_record, dump};

#[test]
fn a_dump_fits_a_terminal_and_shows_only_printable_text() {
    let lines = dump(b"GET / HTTP/1.1\r\nHost: orders\r\n");
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], "0000  47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a  GET / HTTP/1.1..");
    assert!(lines[1].ends_with("Host: orders.."), "{}", lines[1]);
    assert!(lines.iter().all(|line| line.len() <= 75));
}

#[test]
fn data_is_found_behind_the_handshake() {
    let handshake = [22, 3, 1, 0, 2, 9, 9, 20, 3, 3, 0, 1, 1];
    let data = [23, 3, 3, 0, 1, 7];
    let flow = [&handshake[..], &data].concat();
    for (case, bytes, want) in [
        ("behind a handshake", &flow[..], Some(&data[..])),
        ("at once", &data[..], Some(&data[..])),
        ("only a handshake", &handshake[..], None),
        ("cut short", &handshake[..4], None),
        ("no TLS", b"GET / HTTP/1.1", None),
    ] {
        assert_eq!(data_record(bytes), want, "{case}");
    }
}
