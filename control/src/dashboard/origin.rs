//! Whose page has a browser ask: its own, or that of another site.
//!
//! Fetch Metadata Request Headers, section 2.1; RFC 6454, section 7.

use http::{HeaderMap, header};

const FETCH_SITE: &str = "sec-fetch-site";

/// Whether a browser says that a page of another origin asks. Whoever is no browser says nothing.
pub fn is_other_site(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(FETCH_SITE).iter();
    said.any(|site| site != "same-origin" && site != "none")
        || headers.contains_key(header::ORIGIN) && !is_own(headers)
}

/// Whether a page of this very origin asks, for what changes something: every browser that says
/// nothing of it is refused.
pub fn is_own_page(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(FETCH_SITE).iter();
    said.all(|site| site == "same-origin") && is_own(headers)
}

/// Whether `Origin` is where the request went.
fn is_own(headers: &HeaderMap) -> bool {
    let one = |name| {
        let mut all = headers.get_all(name).iter();
        let first = all.next()?.to_str().ok()?;
        all.next().is_none().then_some(first)
    };
    let (Some(origin), Some(host)) = (one(header::ORIGIN), one(header::HOST)) else { return false };
    origin.strip_prefix("https://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            let name = HeaderName::try_from(*name).expect("a name");
            map.append(name, HeaderValue::try_from(*value).expect("a value"));
        }
        map
    }

    #[test]
    fn only_a_page_of_this_origin_signs_in_and_no_other_reads() {
        let host = ("host", "mesh.example:15018");
        let own = ("origin", "https://mesh.example:15018");
        let site = |value| (FETCH_SITE, value);
        for (case, all, signs, reads) in [
            ("its own", vec![host, own, site("same-origin")], true, true),
            ("its own, of an older browser", vec![host, own], true, true),
            ("no browser", vec![host], false, true),
            ("an address that was typed in", vec![host, site("none")], false, true),
            ("its own image", vec![host, site("same-origin")], false, true),
            ("another's", vec![host, ("origin", "https://evil.example")], false, false),
            ("another's image", vec![host, site("cross-site")], false, false),
            ("a neighbour's", vec![host, site("same-site")], false, false),
            ("one that lies of one", vec![host, own, site("cross-site")], false, false),
            ("twice", vec![host, own, own], false, false),
            ("two hosts", vec![host, host, own], false, false),
            ("no host", vec![own], false, false),
            ("another port", vec![host, ("origin", "https://mesh.example")], false, false),
            ("no TLS", vec![host, ("origin", "http://mesh.example:15018")], false, false),
            ("nobody's", vec![host, ("origin", "null")], false, false),
        ] {
            let headers = headers(&all);
            assert_eq!(is_own_page(&headers), signs, "{case}");
            assert_eq!(!is_other_site(&headers), reads, "{case}");
        }
    }
}
