//! What somebody may have meant by a wrong name.

use std::collections::BTreeSet;

/// Names that are shown where none is alike.
const SHOWN: usize = 8;
/// How alike a name must be, of 1.
const ALIKE: f64 = 0.75;

/// The sentence about a name that nothing has.
pub(crate) fn unknown<'a>(
    what: &str,
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let known: BTreeSet<&str> = known.into_iter().collect();
    let near = nearest(wanted, &known);
    if !near.is_empty() {
        return format!("no {what} '{wanted}'; did you mean {}?", near.join(" or "));
    }
    let shown: Vec<&str> = known.iter().copied().take(SHOWN).collect();
    match known.len() {
        0 => format!("no {what} '{wanted}'; there is none"),
        count if count > SHOWN => {
            format!("no {what} '{wanted}'; there are {count}, such as {}", shown.join(", "))
        }
        _ => format!("no {what} '{wanted}'; there are: {}", shown.join(", ")),
    }
}

/// At most three, the most alike first.
fn nearest<'a>(wanted: &str, known: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let short = |name: &'a str| name.rsplit('/').next().unwrap_or(name);
    let wanted_short = wanted.rsplit('/').next().unwrap_or(wanted);
    let likeness = |name: &'a str| {
        let distance = strsim::damerau_levenshtein(wanted, name);
        if distance <= 2 {
            return 1.0 - distance as f64 / 100.0;
        }
        // A name without its namespace, or with another's.
        if short(name) == wanted_short {
            return 0.97;
        }
        let whole = strsim::jaro_winkler(wanted, name);
        let own = strsim::jaro_winkler(wanted_short, short(name));
        // A slip of the finger is likelier than another name that begins alike.
        whole.max(own - 0.05).min(0.9)
    };
    let mut alike: Vec<(f64, &str)> =
        known.iter().map(|name| (likeness(name), *name)).filter(|(of, _)| *of >= ALIKE).collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let best = alike.first().map_or(0.0, |(of, _)| *of);
    alike.into_iter().filter(|(of, _)| best - of < 0.05).map(|(_, name)| name).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_brings_the_one_that_was_meant() {
        let known = ["shop/orders", "shop/web", "legacy/printer", "shop/orders-v2"];
        for (wanted, want) in [
            ("shop/ordrs", "no pod 'shop/ordrs'; did you mean shop/orders?"),
            ("shpo/web", "no pod 'shpo/web'; did you mean shop/web?"),
            ("orders", "no pod 'orders'; did you mean shop/orders?"),
        ] {
            assert_eq!(unknown("pod", wanted, known), want);
        }
        let none = unknown("pod", "zzz", known);
        assert!(none.starts_with("no pod 'zzz'; there are: legacy/printer"), "{none}");
        assert_eq!(unknown("node", "a", []), "no node 'a'; there is none");
        let many: Vec<String> = (0..30).map(|n| format!("pod-{n}")).collect();
        let said = unknown("pod", "zzz", many.iter().map(String::as_str));
        assert!(said.contains("there are 30, such as"), "{said}");
    }
}
