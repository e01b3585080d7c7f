//! Budgets of an org and the slices that its keys draw on: each command at its edge, and random sagas.

mod examples;
mod saga;

use nemo_events::limits::{Budget, WindowKind};
use nemo_events::org::{OrgCreated, OrgLimits};
use nemo_events::{Day, KeyId, OrgEvent, Revision, Timestamp};
use nemo_projections::decide::{Authorize, OrgCommand};
use nemo_projections::org::{OrgView, SlicesNeeded};
use nemo_projections::refusal::{AllotmentNeeded, SliceShort};
use nemo_projections::testing::KeyHistory;
use nemo_projections::{At, OrgState, Refusal};

use crate::support::{budget, noon, refused};

pub(crate) fn key_id(n: usize) -> KeyId {
    format!("{n:011}").parse().unwrap()
}

pub(crate) fn today() -> Day {
    Day::of(noon())
}

/// An org's history under test.
#[derive(Debug, Clone)]
pub(crate) struct OrgHistory {
    state: Option<OrgState>,
    next: u64,
}

impl OrgHistory {
    pub(crate) fn new(now: Timestamp) -> Self {
        let mut org = Self { state: None, next: 0 };
        org.happen(&OrgCreated { name: "acme".to_owned(), limits: OrgLimits::default() }.into(), now);
        org
    }

    pub(crate) fn state(&self) -> &OrgState {
        self.state.as_ref().unwrap()
    }

    pub(crate) fn happen(&mut self, event: &OrgEvent, now: Timestamp) {
        let at = At { revision: Revision(self.next), time: now };
        OrgState::evolve(&mut self.state, event, at).unwrap_or_else(|corrupt| panic!("{corrupt}: {event:?}"));
        self.next += 1;
    }

    pub(crate) fn execute(
        &mut self,
        command: &dyn OrgCommand,
        now: Timestamp,
    ) -> Result<Vec<OrgEvent>, Refusal> {
        let events = command.decide(self.state.as_ref(), now)?;
        events.iter().for_each(|event| self.happen(event, now));
        Ok(events)
    }

    /// The org as a node knows it.
    pub(crate) fn view(&self, now: Timestamp) -> OrgView {
        let org = self.state();
        let tightest = org.allotted.tightest(&org.budgets, Day::of(now));
        let slices = match org.allotted.since().zip(tightest) {
            Some((since, (_, free))) => SlicesNeeded::Yes { since, free },
            None => SlicesNeeded::No { as_of: Some(org.changed_at) },
        };
        OrgView { standing: org.standing, slices }
    }
}

pub(crate) fn budgets(all: &[(WindowKind, i64)]) -> Vec<Budget> {
    all.iter().map(|(window, limit)| budget(*window, *limit)).collect()
}

/// What must happen first.
pub(crate) fn needed(key: &KeyHistory, command: &Authorize, now: Timestamp) -> AllotmentNeeded {
    match refused(key, command, now) {
        Refusal::Allotment(needed) => needed,
        other => panic!("no allotment but {other:?}"),
    }
}

pub(crate) fn short(key: &KeyHistory, command: &Authorize, now: Timestamp) -> SliceShort {
    match needed(key, command, now) {
        AllotmentNeeded::Slice(short) => short,
        other => panic!("no slice but {other:?}"),
    }
}
