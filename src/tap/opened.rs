//! What opened and closed between two looks. Pure.

use std::collections::BTreeMap;

use observe::pb::Connection;

/// Connections by node and number.
type Seen = BTreeMap<(String, u64), Connection>;

/// What was open at the last look.
#[derive(Debug, Default)]
pub(super) struct Opened(Option<Seen>);

/// What became of a connection.
#[derive(Debug)]
pub(super) enum Change {
    Opened(Connection),
    Closed(Connection),
}

impl Opened {
    /// What changed. What is open at the first look is not news.
    pub(super) fn next(&mut self, now: Seen) -> Vec<Change> {
        let Some(before) = self.0.replace(now.clone()) else { return Vec::new() };
        let mut changes = Vec::new();
        for (key, one) in &now {
            if !before.contains_key(key) {
                changes.push(Change::Opened(one.clone()));
            }
        }
        let gone = before.into_iter().filter(|(key, _)| !now.contains_key(key));
        changes.extend(gone.map(|(_, one)| Change::Closed(one)));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_is_told_once() {
        let look = |ids: &[u64]| -> Seen {
            let one =
                |id: &u64| (("n".to_owned(), *id), Connection { id: *id, ..Connection::default() });
            ids.iter().map(one).collect()
        };
        let mut opened = Opened::default();
        let mut told = |ids: &[u64]| -> Vec<(bool, u64)> {
            let changes = opened.next(look(ids)).into_iter();
            changes
                .map(|change| match change {
                    Change::Opened(one) => (true, one.id),
                    Change::Closed(one) => (false, one.id),
                })
                .collect()
        };
        assert_eq!(told(&[1, 2]), []);
        assert_eq!(told(&[2, 3]), [(true, 3), (false, 1)]);
        assert_eq!(told(&[2, 3]), []);
        assert_eq!(told(&[]), [(false, 2), (false, 3)]);
    }
}
