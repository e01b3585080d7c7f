//! What the address of a key's page asks for: a moment, and which of the events.

use nemo_events::{Position, Revision, Timestamp};

use crate::audit::ActivityFilter;
use crate::dashboard::Fields;
use crate::ledger::Moment;

/// What an address asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyQuery {
    /// The moment: `@12`, `12`, `position:345` or a time.
    pub(super) at: String,
    /// The event that the list begins with, going back.
    pub(super) before: Option<Revision>,
    /// The event that the list begins with, going on.
    pub(super) after: Option<Revision>,
    /// Which events are listed.
    pub(super) filter: ActivityFilter,
}

/// The fields that filter events.
const FILTERS: [&str; 3] = ["type", "model", "address"];

impl KeyQuery {
    /// What was sent.
    #[must_use]
    pub(super) fn of(fields: &Fields) -> Self {
        let [event_type, model, address] = FILTERS.map(|name| fields.given(name));
        Self {
            at: fields.text("at").to_owned(),
            before: revision(fields.text("before")),
            after: revision(fields.text("after")),
            filter: ActivityFilter { event_type, model, address, ..ActivityFilter::default() },
        }
    }

    /// The moment that is asked for.
    ///
    /// # Errors
    /// A text that is none: what to write instead.
    pub(super) fn moment(&self) -> Result<Option<Moment>, &'static str> {
        const WHAT: &str =
            "Not a moment: write an event such as @12, a time such as 2026-11-22T06:00:00Z, or position:345.";
        let text = self.at.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(position) = text.strip_prefix("position:") {
            return position.trim().parse().map(|at| Some(Moment::Position(Position(at)))).map_err(|_| WHAT);
        }
        if let Some(revision) = revision(text) {
            return Ok(Some(Moment::Revision(revision)));
        }
        let time = text.parse::<Timestamp>().or_else(|_| format!("{text}T00:00:00Z").parse());
        time.map(|time| Some(Moment::Time(time))).map_err(|_| WHAT)
    }

    /// The filters as fields, for addresses of pages that keep them.
    #[must_use]
    pub(super) fn filters(&self) -> Fields {
        let ActivityFilter { event_type, model, address, .. } = &self.filter;
        let values = [event_type, model, address];
        FILTERS
            .iter()
            .zip(values)
            .fold(Fields::default(), |fields, (name, value)| fields.with(name, value.as_deref()))
    }
}

/// `@1200`, `1200` or `#1,200`
fn revision(text: &str) -> Option<Revision> {
    let digits: String = text.trim().trim_start_matches(['@', '#']).chars().filter(|c| *c != ',').collect();
    digits.parse().ok().map(Revision)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;

    fn at(text: &str) -> Result<Option<Moment>, &'static str> {
        KeyQuery { at: text.to_owned(), ..KeyQuery::default() }.moment()
    }

    #[test]
    fn a_moment_is_an_event_a_position_or_a_time() {
        assert_eq!(at(" ").unwrap(), None);
        for text in ["@1200", "1200", "#1,200", " @1200 "] {
            assert_eq!(at(text).unwrap(), Some(Moment::Revision(Revision(1200))), "{text}");
        }
        assert_eq!(at("position:7").unwrap(), Some(Moment::Position(Position(7))));
        let midnight = Moment::Time("2026-11-22T00:00:00Z".parse().unwrap());
        assert_eq!(at("2026-11-22").unwrap(), Some(midnight));
        for wrong in ["yesterday", "@", "position:", "-1"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn filters_in_an_address_mean_what_they_say() {
        let query = KeyQuery::of(&Fields::parse("model=a%26b%3Dc&address=+&before=@12&at="));
        assert_eq!(query.filters().to_url("/k"), "/k?model=a%26b%3Dc");
        assert_eq!((query.filter.address, query.before), (None, Some(Revision(12))));
    }
}
