//! A key's events, filtered, in either direction.
//!
//! There is no index over what events say: a page is found by reading the key's stream, at most [`LOOKED_AT_MOST`]
//! events of it, and says where to go on. An end of a call does not repeat what its authorisation says; it is found
//! among the events that are read anyway, or where the read model says that it is.

use std::collections::HashMap;

use nemo_events::key::CallAuthorized;
use nemo_events::{CallId, EventRecord, KeyEvent, KeyId, Nanos, RequestId, Revision, StreamName};
use nemo_store::{Direction, MAX_PAGE};

use crate::app::App;
use crate::ledger::ExecuteError;

/// Events that one page goes through at most, and a page of the store more.
const LOOKED_AT_MOST: usize = 20_000;
/// Authorisations that are looked up one by one for one page of the store.
const LOOKED_UP_AT_MOST: usize = 1_000;
/// Events that are read at once where nothing is filtered: more than are shown, as calls begin before they end.
const READ_AT_LEAST: usize = 256;

/// Which events are wanted. All that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActivityFilter {
    /// Events of this type.
    pub event_type: Option<String>,
    /// Events of calls of this model, by the name that the caller used or the provider's.
    pub model: Option<String>,
    /// Events of calls from this address, and refusals of it.
    pub address: Option<String>,
    /// Events of the calls that this request made.
    pub request: Option<RequestId>,
    /// Refusals.
    pub refused: bool,
}

/// Where a page begins, and which way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// From this event on to later ones.
    Forwards(Revision),
    /// From this event, or the last one before it, back to earlier ones; from the last of all where none is named.
    Backwards(Option<Revision>),
}

/// Events in the order of the look.
#[derive(Debug, Clone, Default)]
pub struct Activity {
    /// The events.
    pub entries: Vec<Entry>,
    /// Where the next page begins in the same direction; `None` at the end. A page may be empty though others follow.
    pub next: Option<Revision>,
    /// How many events were gone through.
    pub looked_at: usize,
}

/// An event, with what it does not say itself.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As it is stored.
    pub record: EventRecord,
    /// What it says.
    pub event: KeyEvent,
    /// The call that it is about.
    pub call: Option<OfCall>,
}

/// What the authorisation of a call says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfCall {
    /// The request that it served.
    pub request: RequestId,
    /// The model as the caller named it.
    pub model: String,
    /// The provider.
    pub provider: String,
    /// The model's name there.
    pub provider_model: String,
    /// Where it came from.
    pub address: Option<String>,
    /// What made it.
    pub user_agent: Option<String>,
    /// What it could cost at most.
    pub hold: Nanos,
}

/// A page of a key's events.
///
/// # Errors
/// Where the stream cannot be read, or holds what this program does not know.
pub async fn activity(
    app: &App,
    key: KeyId,
    filter: &ActivityFilter,
    look: Look,
    limit: usize,
) -> Result<Activity, ExecuteError> {
    let mut page = Page { app, key, calls: HashMap::new(), found: Activity::default() };
    let (direction, mut place) = match look {
        Look::Forwards(from) => (Direction::Forwards, from),
        Look::Backwards(from) => (Direction::Backwards, from.unwrap_or(Revision(i64::MAX.cast_unsigned()))),
    };
    let read = if filter.is_empty() { limit.saturating_add(1).max(READ_AT_LEAST) } else { MAX_PAGE };
    while page.found.looked_at < LOOKED_AT_MOST {
        let entries = page.read(place, direction, read).await?;
        let Some(last) = entries.last().map(|entry| entry.record.event.revision) else {
            return page.finish(None).await;
        };
        if filter.needs_calls() {
            page.look_up(&entries).await?;
        }
        let more = entries.len() == read.min(MAX_PAGE);
        for entry in entries {
            if page.found.entries.len() >= limit {
                let next = entry.record.event.revision;
                return page.finish(Some(next)).await;
            }
            page.take(entry, filter);
        }
        let next = behind(last, direction).filter(|_| more);
        let Some(next) = next else { return page.finish(None).await };
        place = next;
    }
    page.finish(Some(place)).await
}

const fn behind(last: Revision, direction: Direction) -> Option<Revision> {
    match direction {
        Direction::Forwards => Some(last.next()),
        Direction::Backwards => match last.0.checked_sub(1) {
            Some(before) => Some(Revision(before)),
            None => None,
        },
    }
}

/// A page on its way.
struct Page<'a> {
    app: &'a App,
    key: KeyId,
    /// Authorisations that were come across.
    calls: HashMap<CallId, OfCall>,
    found: Activity,
}

impl Page<'_> {
    async fn read(
        &mut self,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ExecuteError> {
        let stream = StreamName::Key(self.key);
        let records = self.app.ledger.store().read_stream(&stream, from, direction, limit).await?;
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let stored = &record.event;
            let event = KeyEvent::decode(&stored.event_type, stored.version, &stored.data);
            let event = event
                .map_err(|error| ExecuteError::Damaged(format!("{stream} {}: {error}", stored.revision)))?;
            if let KeyEvent::CallAuthorized(authorized) = &event {
                self.calls.insert(authorized.call, OfCall::of(authorized));
            }
            entries.push(Entry { record, event, call: None });
        }
        Ok(entries)
    }

    fn take(&mut self, entry: Entry, filter: &ActivityFilter) {
        self.found.looked_at = self.found.looked_at.saturating_add(1);
        let call = call_of(&entry.event).and_then(|call| self.calls.get(&call));
        if filter.takes(&entry, call) {
            self.found.entries.push(entry);
        }
    }

    /// Finds the authorisations of calls that were only seen to end.
    async fn look_up(&mut self, entries: &[Entry]) -> Result<(), ExecuteError> {
        let calls = entries.iter().filter_map(|entry| call_of(&entry.event));
        let mut missing: Vec<_> = calls.filter(|call| !self.calls.contains_key(call)).collect();
        missing.sort_unstable();
        missing.dedup();
        missing.truncate(LOOKED_UP_AT_MOST);
        if missing.is_empty() {
            return Ok(());
        }
        let found = self.app.read_side.read(move |reader| {
            missing.into_iter().map(|call| Ok(reader.call(call)?.value)).collect::<Result<Vec<_>, _>>()
        });
        // Without the read model an end is told without what its authorisation said.
        for row in found.await.unwrap_or_default().into_iter().flatten().filter(|row| row.key == self.key) {
            let Some(record) = self.app.ledger.event(self.key, row.authorized_revision).await? else {
                continue;
            };
            let stored = &record.event;
            if let Ok(KeyEvent::CallAuthorized(e)) =
                KeyEvent::decode(&stored.event_type, stored.version, &stored.data)
            {
                self.calls.insert(e.call, OfCall::of(&e));
            }
        }
        Ok(())
    }

    async fn finish(mut self, next: Option<Revision>) -> Result<Activity, ExecuteError> {
        let mut entries = std::mem::take(&mut self.found.entries);
        self.look_up(&entries).await?;
        for entry in &mut entries {
            entry.call = call_of(&entry.event).and_then(|call| self.calls.get(&call).cloned());
        }
        Ok(Activity { entries, next, ..self.found })
    }
}

impl ActivityFilter {
    /// Whether every event is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    const fn needs_calls(&self) -> bool {
        self.model.is_some() || self.address.is_some() || self.request.is_some()
    }

    fn takes(&self, entry: &Entry, call: Option<&OfCall>) -> bool {
        let refused = if let KeyEvent::CallsRefused(e) = &entry.event { Some(e) } else { None };
        let is_of_type =
            self.event_type.as_ref().is_none_or(|wanted| entry.record.event.event_type == wanted.as_str());
        let is_of_model = self.model.as_ref().is_none_or(|wanted| {
            call.is_some_and(|call| call.model == *wanted || call.provider_model == *wanted)
        });
        let is_of_address = self.address.as_deref().is_none_or(|wanted| {
            let from = |address: &Option<String>| address.as_deref() == Some(wanted);
            call.is_some_and(|call| from(&call.address))
                || refused.is_some_and(|e| e.refusals.iter().any(|refusal| from(&refusal.address)))
        });
        let is_of_request = self.request.is_none_or(|wanted| call.is_some_and(|call| call.request == wanted));
        let is_refusal = !self.refused || refused.is_some();
        is_of_type && is_of_model && is_of_address && is_of_request && is_refusal
    }
}

impl OfCall {
    fn of(authorized: &CallAuthorized) -> Self {
        Self {
            request: authorized.request,
            model: authorized.model.clone(),
            provider: authorized.provider.clone(),
            provider_model: authorized.provider_model.clone(),
            address: authorized.client.address.clone(),
            user_agent: authorized.client.user_agent.clone(),
            hold: authorized.hold.amount,
        }
    }
}

/// The call that an event is about.
const fn call_of(event: &KeyEvent) -> Option<CallId> {
    match event {
        KeyEvent::CallAuthorized(e) => Some(e.call),
        KeyEvent::CallSettled(e) => Some(e.call),
        KeyEvent::CallVoided(e) => Some(e.call),
        KeyEvent::CallForfeited(e) => Some(e.call),
        KeyEvent::CallCorrected(e) => Some(e.call),
        _ => None,
    }
}
