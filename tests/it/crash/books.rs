//! What must hold for a key after a kill, whatever was going on: its events against what its callers were told
//! and what the provider saw and billed.

use std::collections::{BTreeMap, HashMap};

use super::load::Told;
use crate::concurrency::account::{Account, Broken, Promise, Recorded};

/// What is known of a key from outside.
#[derive(Debug, Default)]
pub(super) struct KeyBook {
    /// What its callers were told.
    pub(super) told: Vec<Told>,
    /// Markers of the requests that its provider saw.
    pub(super) seen: Vec<String>,
    /// Relabellings: acknowledged, asked for.
    pub(super) relabelled: (usize, usize),
}

/// Everything that does not hold. The bill is by marker.
pub(super) fn audit(book: &KeyBook, account: &Account, bill: &BTreeMap<String, i128>) -> Vec<Broken> {
    let mut audit = Audit { account, calls: HashMap::new(), broken: account.broken.clone() };
    audit.calls(bill);
    audit.provider(&book.seen);
    book.told.iter().for_each(|told| audit.caller(told));
    audit.manager(book.relabelled);
    audit.broken
}

struct Audit<'a> {
    account: &'a Account,
    /// By marker.
    calls: HashMap<&'a str, &'a Recorded>,
    broken: Vec<Broken>,
}

impl<'a> Audit<'a> {
    /// Every call has ended, and is charged at least what the provider billed for it.
    fn calls(&mut self, bill: &BTreeMap<String, i128>) {
        let account = self.account;
        for (id, call) in &account.calls {
            if call.end.is_none() {
                self.breaks(Promise::OneEnd, format!("{id} is open: {call:?}"));
            }
            let billed = bill.get(&call.agent).copied().unwrap_or_default();
            if billed > call.charged {
                self.breaks(Promise::BillCovered, format!("{id}: billed {billed}: {call:?}"));
            }
            if self.calls.insert(&call.agent, call).is_some() {
                self.breaks(Promise::OneEnd, format!("{id}: two calls of {}", call.agent));
            }
        }
        let (charged, limit) = (account.settled, account.limit.unwrap_or(i128::MAX));
        if charged > limit || account.held != 0 {
            self.breaks(
                Promise::NoOvershoot,
                format!("charged {charged} and held {} of {limit}", account.held),
            );
        }
    }

    /// What the provider saw was recorded, and sent once.
    fn provider(&mut self, seen: &[String]) {
        let mut times: HashMap<&str, usize> = HashMap::new();
        for marker in seen {
            *times.entry(marker).or_default() += 1;
            if !self.calls.contains_key(marker.as_str()) {
                self.breaks(Promise::NothingUnrecorded, format!("{marker} got to the provider"));
            }
        }
        for (marker, times) in times.into_iter().filter(|(_, times)| *times > 1) {
            self.breaks(Promise::NothingUnrecorded, format!("{marker} was sent {times} times"));
        }
    }

    /// What a caller has, the ledger has.
    fn caller(&mut self, told: &Told) {
        let call = self.calls.get(told.marker.as_str()).copied();
        let end = call.and_then(|call| call.end.as_deref());
        if told.whole && end != Some("CallSettled") {
            self.breaks(Promise::NothingUnbilled, format!("{told:?}: {call:?}"));
        }
        let charged = call.filter(|call| call.end.is_some() && !call.orphaned).map(|call| call.charged);
        if told.cost.is_some() && told.cost != charged {
            self.breaks(Promise::NothingUnbilled, format!("{told:?}: {call:?}"));
        }
        if told.status == Some(200)
            && !told.call.as_ref().is_some_and(|id| self.account.calls.contains_key(id))
        {
            self.breaks(Promise::Truth, format!("{told:?}: no such call"));
        }
        // A call that was refused since the ledger was away got no further.
        let unavailable = told.status == Some(503) && told.code.as_deref() == Some("ledger_unavailable");
        if unavailable && told.call.is_none() && charged.is_some_and(|charged| charged != 0) {
            self.breaks(Promise::Truth, format!("{told:?}: {call:?}"));
        }
        let refused = matches!(told.code.as_deref(), Some("budget_exceeded" | "budget_held"));
        if refused && call.is_some() {
            self.breaks(Promise::Truth, format!("{told:?}, and yet {call:?}"));
        }
    }

    fn manager(&mut self, (acknowledged, asked): (usize, usize)) {
        let found = self.account.count("KeyRelabelled");
        if !(acknowledged..=asked).contains(&found) {
            self.breaks(
                Promise::Truth,
                format!("{found} relabellings; {acknowledged} of {asked} were acknowledged"),
            );
        }
    }

    fn breaks(&mut self, promise: Promise, what: String) {
        self.broken.push(Broken(promise, what));
    }
}
