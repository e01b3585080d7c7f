//! A key's account, folded from its events by rules of the tests' own: what was authorised, how it ended, what
//! is charged, and whether any of that should never have been written.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::harness::{Event, nanos};

/// A promise of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// I1: no overshoot.
    NoOvershoot,
    /// I2: nothing dispatched unrecorded.
    NothingUnrecorded,
    /// I3: nothing delivered unbilled.
    NothingUnbilled,
    /// I4: exactly one end.
    OneEnd,
    /// I5: revocation is final.
    RevokedForGood,
    /// What was acknowledged is there, and what was said is so.
    Truth,
    /// The provider's bill is never above what is charged.
    BillCovered,
}

/// A promise that was broken, and how.
#[derive(Clone)]
pub(crate) struct Broken(pub(crate) Promise, pub(crate) String);

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0, self.1)
    }
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// The `user-agent` of its client: by it a test knows its calls again.
    pub(crate) agent: String,
    /// The most it may cost.
    pub(crate) hold: i128,
    /// What it is charged; nothing while it is open.
    pub(crate) charged: i128,
    /// The type of the event that ended it.
    pub(crate) end: Option<String>,
    /// Its node did not live to say how it ended.
    pub(crate) orphaned: bool,
}

/// What a key's events amount to.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The types of all events.
    pub(crate) kinds: Vec<String>,
    /// The calls by id.
    pub(crate) calls: BTreeMap<String, Recorded>,
    /// The limit in force of the total budget.
    pub(crate) limit: Option<i128>,
    /// What ended calls are charged.
    pub(crate) settled: i128,
    /// What open calls hold.
    pub(crate) held: i128,
    /// What should never have been written.
    pub(crate) broken: Vec<Broken>,
    revoked: bool,
}

impl Account {
    /// Folds events as the API tells them.
    pub(crate) fn of(events: &[Event]) -> Account {
        let mut account = Account::default();
        for event in events {
            account.take(event.kind(), event.data());
        }
        account
    }

    /// Folds one event.
    pub(crate) fn take(&mut self, kind: &str, data: &Value) {
        self.kinds.push(kind.to_owned());
        let call = data["call"].as_str().unwrap_or_default();
        match kind {
            "KeyCreated" | "KeyLimitsSet" => self.limit = total_budget(data),
            "KeyRevoked" => self.revoked = true,
            "CallAuthorized" => self.authorized(call, data),
            "CallSettled" => self.ended(call, kind, nanos(&data["cost"]), data["over_hold"] == true),
            "CallForfeited" => {
                self.ended(call, kind, nanos(&data["charged"]), false);
                let orphaned = data["reason"] == "node_died";
                self.calls.entry(call.to_owned()).and_modify(|call| call.orphaned = orphaned);
            }
            "CallVoided" => self.ended(call, kind, 0, false),
            _ => {}
        }
    }

    /// How many events of a type there are.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.kinds.iter().filter(|other| *other == kind).count()
    }

    fn authorized(&mut self, call: &str, data: &Value) {
        let hold = nanos(&data["hold"]["amount"]);
        let used = self.settled + self.held + hold;
        if self.limit.is_some_and(|limit| used > limit) {
            self.breaks(Promise::NoOvershoot, format!("{call}: {used} of {:?} with its hold", self.limit));
        }
        if self.revoked {
            self.breaks(Promise::RevokedForGood, format!("{call} was authorised after the revoke"));
        }
        self.held += hold;
        let agent = data["client"]["user_agent"].as_str().unwrap_or_default().to_owned();
        let new = Recorded { agent, hold, charged: 0, end: None, orphaned: false };
        if self.calls.insert(call.to_owned(), new).is_some() {
            self.breaks(Promise::OneEnd, format!("{call} was authorised twice"));
        }
    }

    fn ended(&mut self, call: &str, kind: &str, charged: i128, may_exceed: bool) {
        let Some(found) = self.calls.get_mut(call).filter(|found| found.end.is_none()) else {
            return self.breaks(Promise::OneEnd, format!("{call}: {kind} of a call that is not open"));
        };
        found.end = Some(kind.to_owned());
        found.charged = charged;
        let hold = found.hold;
        self.held -= hold;
        self.settled += charged;
        if charged > hold && !may_exceed {
            self.breaks(Promise::NoOvershoot, format!("{call} is charged {charged}, its hold was {hold}"));
        }
    }

    fn breaks(&mut self, promise: Promise, what: String) {
        self.broken.push(Broken(promise, what));
    }
}

fn total_budget(data: &Value) -> Option<i128> {
    let budgets = data["limits"]["budgets"].as_array()?;
    budgets.iter().find(|budget| budget["window"] == "total").map(|budget| nanos(&budget["limit"]))
}
