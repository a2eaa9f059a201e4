//! What the mesh's programs say, read from text.

use super::metrics::Metrics;
use super::page::{self, Page};

#[test]
fn metrics_are_read_with_escapes_timestamps_and_exemplars() {
    let page = "# TYPE a counter\na_total{x=\"1\",y=\"a\\\"b,c}\"} 3 # {t=\"u\"} 1\n\
                a_total{x=\"2\",y=\"\"} 4.5 1700000000\nplain 7\n# EOF\n";
    let metrics = Metrics::parse(page);
    assert_eq!(metrics.samples.len(), 3);
    for (name, labels, sum) in [
        ("a_total", [].as_slice(), 7.5),
        ("a_total", &[("x", "1")], 3.0),
        ("a_total", &[("y", "a\"b,c}")], 3.0),
        ("a_total", &[("x", "3")], 0.0),
        ("plain", &[], 7.0),
    ] {
        assert!((metrics.sum(name, labels) - sum).abs() < 1e-9, "{name} {labels:?}");
    }
}

#[test]
fn a_page_is_its_status_and_body() {
    let answer = b"HTTP/1.0 500 Internal Server Error\r\nA: b\r\n\r\nnot ready\n";
    let wanted = Page { status: 500, body: "not ready\n".to_owned() };
    assert_eq!(page::read(answer), Some(wanted));
    assert_eq!(page::read(b"SSH-2.0-x\r\n\r\n"), None);
}
