//! How the ledger's streams are called on the server: a prefix of the ledger's own, then the name.
//!
//! Hashes cover the name without the prefix, so that a ledger may move to another one.

use eventstore::SubscriptionFilter;
use nemo_events::StreamName;

/// How many events the server looks at before it reports how far it is.
const SEARCH_WINDOW: u32 = 1_000;

/// What the ledger's names begin with; see [`StreamName`].
const BEGINNINGS: [&str; 6] = ["key-", "org-", "operators", "prices", "gateway", "checkpoints"];

/// The names of one ledger's streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// Longest prefix.
    pub(super) const LONGEST_PREFIX: usize = 64;

    /// Names behind `prefix`, which may be empty; `None` where it has anything but letters, digits, `-`,
    /// `_` and `.`, or is too long.
    pub(super) fn behind(prefix: &str) -> Option<Self> {
        let plain = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        (plain && prefix.len() <= Self::LONGEST_PREFIX).then(|| Self { prefix: prefix.to_owned() })
    }

    /// What the server calls a stream.
    pub(super) fn on_server(&self, stream: &StreamName) -> String {
        format!("{}{stream}", self.prefix)
    }

    /// The ledger's stream that the server calls so; `None` for everybody else's.
    pub(super) fn of_ledger(&self, on_server: &str) -> Option<StreamName> {
        on_server.strip_prefix(&self.prefix)?.parse().ok()
    }

    /// Lets through every stream of the ledger, and few others.
    pub(super) fn filter(&self) -> SubscriptionFilter {
        let filter = SubscriptionFilter::on_stream_name().max(SEARCH_WINDOW);
        BEGINNINGS.iter().fold(filter, |filter, start| filter.add_prefix(format!("{}{start}", self.prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nemo_events::{KeyId, OrgId};
    use uuid::Uuid;

    #[test]
    fn every_stream_of_the_ledger_passes_the_filter_and_comes_back() {
        let key = KeyId::from_digits("0123456789A").unwrap_or_else(|e| unreachable!("{e}"));
        let all = [
            StreamName::Key(key),
            StreamName::Org(OrgId::from_uuid(Uuid::from_u128(7))),
            StreamName::Operators,
            StreamName::Prices,
            StreamName::Gateway,
            StreamName::Checkpoints,
        ];
        // Another kind of stream has to be in the list above, and in `BEGINNINGS`.
        let kinds = |stream: &StreamName| match stream {
            StreamName::Key(_) => 0,
            StreamName::Org(_) => 1,
            StreamName::Operators => 2,
            StreamName::Prices => 3,
            StreamName::Gateway => 4,
            StreamName::Checkpoints => 5,
        };
        assert!(all.iter().map(kinds).eq(0..BEGINNINGS.len()));
        for prefix in ["", "nemo-"] {
            let names = Names::behind(prefix).unwrap_or_else(|| unreachable!("{prefix}"));
            for stream in &all {
                let on_server = names.on_server(stream);
                assert_eq!(names.of_ledger(&on_server).as_ref(), Some(stream));
                let passes = |start: &str| on_server.starts_with(&format!("{prefix}{start}"));
                assert_eq!(BEGINNINGS.into_iter().filter(|start| passes(start)).count(), 1, "{on_server}");
            }
        }
    }

    #[test]
    fn what_is_not_the_ledgers_is_nobodys() {
        let names = Names::behind("a-").unwrap_or_else(|| unreachable!());
        for foreign in ["prices", "b-prices", "a-prices-of-milk", "a-key-1", "$$a-prices", "a-", ""] {
            assert_eq!(names.of_ledger(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_prefix_is_short_and_plain() {
        for bad in ["$a", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(Names::behind(bad), None, "{bad}");
        }
    }
}
