//! What is in the store of a key, and what must hold of it whatever happened.

use std::collections::{BTreeMap, HashSet};

use nemo_events::key::VoidReason;
use nemo_events::limits::WindowKind;
use nemo_events::{CallId, EventRecord, KeyEvent, KeyId, Nanos, Revision, StreamHead, StreamName, Timestamp};
use nemo_projections::{At, KeyState};
use nemo_store::{Direction, EventStore as _, MemoryStore};

use crate::ledger::KeyAccount;

/// What is in the store of a key, once it is found to be sound.
pub(super) async fn written(memory: &MemoryStore, id: KeyId) -> History {
    let page =
        memory.read_stream(&StreamName::Key(id), Revision::FIRST, Direction::Forwards, usize::MAX).await;
    History::of(&page.unwrap())
}

/// What a look tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) revision: Option<Revision>,
    pub(super) open: usize,
    pub(super) settled: Nanos,
}

impl Seen {
    pub(super) fn of(account: &KeyAccount, now: Timestamp) -> Self {
        Self::of_state(account.key.as_ref(), now, None)
    }

    fn of_state(key: Option<&KeyState>, now: Timestamp, revision: Option<Revision>) -> Self {
        let open = key.map_or(0, |key| key.open_calls.len());
        let settled = key.map_or(Nanos::ZERO, |key| key.windows.at(WindowKind::Total, now).settled);
        Self { revision, open, settled }
    }
}

/// A key's events with the state behind each of them.
pub(super) struct History {
    pub(super) events: Vec<KeyEvent>,
    pub(super) state: Option<KeyState>,
    seen: Vec<Seen>,
    free: Vec<Option<Nanos>>,
    recorded: Vec<Timestamp>,
}

impl History {
    /// Checks what must hold of every key's stream: dense, chained, no event twice, no budget overshot,
    /// nothing authorised after the revocation, each call authorised and ended at most once.
    fn of(records: &[EventRecord]) -> Self {
        let mut head = StreamHead::EMPTY;
        let mut ids = HashSet::new();
        let mut all = Self {
            events: Vec::new(),
            state: None,
            seen: Vec::new(),
            free: Vec::new(),
            recorded: Vec::new(),
        };
        for EventRecord { event, .. } in records {
            event.verify().unwrap();
            event.follows(&head).unwrap();
            head = event.head();
            assert!(ids.insert(event.id), "an event is there twice");
            let decoded = KeyEvent::decode(&event.event_type, event.version, &event.data).unwrap();
            let at = At { revision: event.revision, time: event.recorded_at };
            // The fold itself refuses calls after a revocation, second authorisations and second ends.
            KeyState::evolve(&mut all.state, &decoded, at).unwrap();
            if let (KeyEvent::CallAuthorized(_), Some(state)) = (&decoded, &all.state) {
                within_budget(state, event.recorded_at);
            }
            all.seen.push(Seen::of_state(all.state.as_ref(), event.recorded_at, Some(event.revision)));
            all.free.push(all.state.as_ref().and_then(|state| free(state, event.recorded_at)));
            all.recorded.push(event.recorded_at);
            all.events.push(decoded);
        }
        all
    }

    pub(super) fn types(&self) -> Vec<&'static str> {
        self.events.iter().map(KeyEvent::type_name).collect()
    }

    /// The types of all events but the creation.
    pub(super) fn types_after_creation(&self) -> Vec<&'static str> {
        self.types().split_off(1)
    }

    pub(super) fn recorded(&self) -> &[Timestamp] {
        &self.recorded
    }

    /// What a look would have told right behind a revision.
    pub(super) fn seen_at(&self, revision: Revision) -> Seen {
        self.seen[usize::try_from(revision.0).unwrap()]
    }

    /// What the key's only budget had left right behind a revision.
    pub(super) fn free_at(&self, revision: usize) -> Option<Nanos> {
        self.free[revision]
    }

    pub(super) fn authorized(&self) -> Vec<CallId> {
        let call =
            |event: &KeyEvent| if let KeyEvent::CallAuthorized(e) = event { Some(e.call) } else { None };
        self.events.iter().filter_map(call).collect()
    }

    /// How each call ended.
    pub(super) fn ends(&self) -> BTreeMap<CallId, &'static str> {
        let end = |event: &KeyEvent| match event {
            KeyEvent::CallSettled(e) => Some((e.call, event.type_name())),
            KeyEvent::CallVoided(e) => Some((e.call, event.type_name())),
            KeyEvent::CallForfeited(e) => Some((e.call, event.type_name())),
            _ => None,
        };
        self.events.iter().filter_map(end).collect()
    }

    pub(super) fn voided_unsent(&self) -> Vec<CallId> {
        let unsent = |event: &KeyEvent| match event {
            KeyEvent::CallVoided(e) if e.reason == VoidReason::NotSent => Some(e.call),
            _ => None,
        };
        self.events.iter().filter_map(unsent).collect()
    }
}

fn within_budget(state: &KeyState, now: Timestamp) {
    for budget in &state.limits.budgets {
        let window = state.windows.at(budget.window, now);
        let used = window.settled.checked_add(window.held).unwrap();
        assert!(used <= budget.limit, "{used} of {} in {:?}", budget.limit, budget.window);
    }
}

fn free(state: &KeyState, now: Timestamp) -> Option<Nanos> {
    let [budget] = state.limits.budgets.as_slice() else { return None };
    let window = state.windows.at(budget.window, now);
    Some(budget.limit.minus_or_zero(window.settled.checked_add(window.held).unwrap()))
}
