//! Random sagas of one org and three keys: what is carried comes late, twice, out of order or never; limits change,
//! budgets come and go, keys are revoked, providers report too much, days pass. After each step no window is spent
//! above its budget, and in the end all that is idle comes back.

use std::collections::BTreeMap;

use nemo_events::limits::WindowKind;
use nemo_events::org::WindowSpent;
use nemo_events::{CallId, Day, KeyEvent, Nanos, OrgEvent, Timestamp};
use nemo_projections::decide::{
    Allot, Authorize, ClearModel, CloseDay, Correct, CountSpend, CoverOverrun, KeyCommand, Notice, Receive,
    Reclaim, Return, Revoke, SetOrgBudgets, Settle,
};
use nemo_projections::key::{Slice, Status};
use nemo_projections::org::OrgView;
use nemo_projections::refusal::AllotmentNeeded;
use nemo_projections::testing::{KeyHistory, given};
use nemo_projections::{Refusal, decide};
use proptest::prelude::*;

use super::{OrgHistory, budgets, key_id};
use crate::support::{ask, at, call, call_id, cases, created, nanos, reported, unlimited};

const KEYS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A call of so many tokens out, with the org as it is known now or was known at some time.
    Call {
        key: usize,
        tokens: u64,
        stale: bool,
        carry: bool,
    },
    /// An end, at so many tokens more or less than the limit; or a forfeit.
    End {
        pick: usize,
        tokens: u64,
        forfeit: bool,
    },
    Correct {
        pick: usize,
        permille: i64,
    },
    Return {
        key: usize,
        days_ago: i32,
        wanted: Option<i64>,
    },
    /// Something that was carried once is carried again.
    Again {
        pick: usize,
    },
    Carry {
        key: usize,
    },
    Budgets {
        day: Option<i64>,
        week: Option<i64>,
        month: Option<i64>,
        total: Option<i64>,
    },
    Revoke {
        key: usize,
    },
    Wait {
        hours: i64,
    },
    Close,
    Count,
}

/// What crosses between the streams.
#[derive(Debug, Clone, Copy)]
enum Carried {
    ToKey { key: usize, day: Day, total: Nanos },
    ToOrg { key: usize, day: Day, total: Nanos },
}

struct World {
    org: OrgHistory,
    keys: Vec<KeyHistory>,
    now: Timestamp,
    calls: Vec<(usize, CallId)>,
    asked: u128,
    carried: Vec<Carried>,
    views: Vec<OrgView>,
    /// What a window may have out although its limit was lowered below it.
    ceilings: BTreeMap<(WindowKind, Day), i64>,
}

impl World {
    fn new() -> Self {
        let now = at("2026-11-29T20:00:00Z");
        let org = OrgHistory::new(now);
        let keys = vec![given([(now, created(unlimited()))]); KEYS];
        let views = vec![org.view(now)];
        let (calls, carried, ceilings) = Default::default();
        Self { org, keys, now, calls, asked: 0, carried, views, ceilings }
    }

    fn today(&self) -> Day {
        Day::of(self.now)
    }

    fn slice(&self, key: usize, day: Day) -> Slice {
        self.keys[key].state().unwrap().slices.of(day)
    }

    /// Asks a key, and carries nothing of what follows.
    fn ask(&mut self, key: usize, command: &impl KeyCommand) -> Result<Vec<KeyEvent>, Refusal> {
        let events = self.keys[key].execute(command, self.now)?;
        for event in &events {
            if let KeyEvent::AllotmentReturned(e) = event {
                self.carried.push(Carried::ToOrg { key, day: e.day, total: e.total });
            }
        }
        Ok(events)
    }

    fn ask_org(&mut self, command: &dyn decide::OrgCommand) -> Result<Vec<OrgEvent>, Refusal> {
        let events = self.org.execute(command, self.now)?;
        for event in &events {
            if let OrgEvent::BudgetAllotted(e) = event {
                let key = (0..KEYS).find(|n| key_id(*n) == e.key).unwrap();
                self.carried.push(Carried::ToKey { key, day: e.day, total: e.total });
            }
        }
        Ok(events)
    }

    fn carry(&mut self, carried: Carried) {
        match carried {
            Carried::ToKey { key, day, total } => drop(self.ask(key, &Receive { day, total })),
            Carried::ToOrg { key, day, total } => {
                drop(self.ask_org(&Reclaim { key: key_id(key), day, total }));
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Call { key, tokens, stale, carry } => self.call(key, tokens, stale, carry),
            Step::End { pick, tokens, forfeit } => self.end(pick, tokens, forfeit),
            Step::Correct { pick, permille } => {
                let Some((key, call)) = pick_of(&self.calls, pick) else { return };
                let Some(ended) = self.keys[key].state().unwrap().ended_calls.get(&call).copied() else {
                    return;
                };
                let charged = Nanos::from_nanos(ended.charged.as_nanos() * permille / 1_000);
                let correct = Correct { call, charged, reason: "invoice".to_owned(), forgotten: None };
                drop(self.ask(key, &correct));
            }
            Step::Return { key, days_ago, wanted } => {
                let day = self.today().plus(-days_ago);
                self.ask(key, &Return { day, wanted: wanted.map(nanos) }).unwrap();
            }
            Step::Again { pick } => {
                if let Some(carried) = pick_of(&self.carried, pick) {
                    self.carry(carried);
                }
            }
            Step::Carry { key } => self.carry_all_of(key),
            Step::Budgets { day, week, month, total } => {
                let kinds = [WindowKind::Day, WindowKind::Week, WindowKind::Month, WindowKind::Total];
                let all: Vec<_> = kinds
                    .into_iter()
                    .zip([day, week, month, total])
                    .filter_map(|(k, l)| Some((k, l?)))
                    .collect();
                self.ask_org(&SetOrgBudgets { budgets: budgets(&all) }).unwrap();
                self.views.push(self.org.view(self.now));
                self.ceilings.clear();
            }
            Step::Revoke { key } => drop(self.ask(key, &Revoke { reason: None }).unwrap()),
            Step::Wait { hours } => self.now = self.now.plus_secs(hours * 3_600),
            Step::Close => self.close(),
            Step::Count => self.count(),
        }
    }

    fn call(&mut self, key: usize, tokens: u64, stale: bool, carry: bool) {
        self.asked += 1;
        let view =
            if stale { self.views[self.asked as usize % self.views.len()] } else { self.org.view(self.now) };
        let command = Authorize { org: view, ask: ask(0, tokens), ..call(self.asked) };
        for _ in 0..6 {
            match self.ask(key, &command) {
                Ok(_) => return self.calls.push((key, command.call)),
                Err(Refusal::Allotment(AllotmentNeeded::Slice(s))) => {
                    let need = nanos(s.hold.as_nanos() - s.idle.as_nanos());
                    let wish = nanos(4 * s.hold.as_nanos());
                    let (key_id, day, received) = (key_id(key), s.day, s.received);
                    match self.ask_org(&Allot { key: key_id, day, received, need, wish }) {
                        Err(Refusal::Allotment(AllotmentNeeded::Count(_))) => self.count(),
                        Err(_) => return,
                        Ok(_) if !carry => return,
                        Ok(_) => {
                            let total = self.org.state().allotted.of(key_id, day).granted;
                            self.carry(Carried::ToKey { key, day, total });
                        }
                    }
                }
                Err(Refusal::Allotment(AllotmentNeeded::Notice(since))) => {
                    drop(self.ask(key, &Notice { since }).unwrap());
                }
                Err(Refusal::ModelFlagged(_)) => {
                    let (provider, provider_model) = ("acme".to_owned(), "acme-large-1".to_owned());
                    drop(self.ask(key, &ClearModel { provider, provider_model }).unwrap());
                }
                Err(_) => return,
            }
        }
    }

    fn end(&mut self, pick: usize, tokens: u64, forfeit: bool) {
        let Some((key, call)) = pick_of(&self.calls, pick) else { return };
        let n = call.as_uuid().as_u128();
        if forfeit {
            let forfeit = crate::support::forfeit(n, decide::ForfeitCharge::Hold, decide::Forfeiter::Owner);
            drop(self.ask(key, &forfeit));
            return;
        }
        let events = self.ask(key, &Settle { call: call_id(n), ..reported(n, 0, tokens) });
        // An overrun is spent: the org learns of it.
        if matches!(events.as_deref(), Ok([KeyEvent::CallSettled(e), ..]) if e.over_hold) {
            self.count();
        }
        for day in self.days() {
            let slice = self.slice(key, day);
            if slice.idle().is_negative() {
                let total = slice.used_and_returned().unwrap();
                self.ask_org(&CoverOverrun { key: key_id(key), day, total }).unwrap();
            }
        }
    }

    fn days(&self) -> Vec<Day> {
        self.org.state().allotted.days().map(|(day, _)| day).collect()
    }

    /// Counts what was spent outside of slices, once every key knows that it needs them.
    fn count(&mut self) {
        let Some(since) = self.org.state().allotted.since() else { return };
        let mut sums = BTreeMap::new();
        for key in 0..KEYS {
            drop(self.ask(key, &Notice { since }).unwrap());
            for window in self.keys[key].state().unwrap().slices.outside().all() {
                let sum: &mut i64 = sums.entry((window.kind, Day::of(window.start))).or_default();
                *sum += window.settled.as_nanos() + window.held.as_nanos();
            }
        }
        let spent = |((window, start), amount)| WindowSpent { window, start, amount: nanos(amount) };
        self.ask_org(&CountSpend { since, spent: sums.into_iter().map(spent).collect() }).unwrap();
    }

    fn carry_all_of(&mut self, key: usize) {
        for day in self.days() {
            let total = self.org.state().allotted.of(key_id(key), day).granted;
            self.carry(Carried::ToKey { key, day, total });
            let total = self.slice(key, day).returned;
            self.carry(Carried::ToOrg { key, day, total });
        }
    }

    /// Closes every past day of which nothing is idle, held or on its way.
    fn close(&mut self) {
        let today = self.today();
        for day in self.days().into_iter().filter(|day| *day < today) {
            let is_final = (0..KEYS).all(|key| {
                let (slice, granted) = (self.slice(key, day), self.org.state().allotted.of(key_id(key), day));
                let carried = granted.granted == slice.received && granted.reclaimed == slice.returned;
                carried && slice.open == 0 && slice.idle() == Nanos::ZERO
            });
            if is_final {
                self.ask_org(&CloseDay { day }).unwrap();
            }
        }
    }

    /// What the calls of all keys were charged and hold in a window.
    fn truth(&self, kind: WindowKind) -> i64 {
        let windows = self.keys.iter().map(|key| key.state().unwrap().windows.at(kind, self.now));
        windows.map(|window| window.settled.as_nanos() + window.held.as_nanos()).sum()
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let today = self.today();
        let org = self.org.state().clone();
        if !org.allotted.is_counted() || org.allotted.since().is_none() {
            return Ok(());
        }
        for budget in &org.budgets {
            let kind = budget.window;
            let used = org.allotted.used(kind, today).as_nanos();
            let truth = self.truth(kind);
            prop_assert!(truth <= used, "{kind}: {truth} is spent and held, the org knows of {used}");
        }
        // The limits bind what is allotted: more than before is out only within them, or as an overrun.
        for kind in WindowKind::ALL {
            let used = org.allotted.used(kind, today).as_nanos();
            self.ceilings.insert((kind, today), used);
        }
        Ok(())
    }

    /// The same before and after a step that is not an overrun: nothing more is out than the limits allow.
    fn grew_within_limits(&self, before: &BTreeMap<(WindowKind, Day), i64>) -> Result<(), TestCaseError> {
        let org = self.org.state();
        let today = self.today();
        for budget in &org.budgets {
            let used = org.allotted.used(budget.window, today).as_nanos();
            let had = before.get(&(budget.window, today)).copied().unwrap_or(i64::MAX);
            prop_assert!(used <= had.max(budget.limit.as_nanos()), "{budget:?}: {used} is out, before {had}");
        }
        Ok(())
    }

    /// Everything that is idle or on its way comes back, and then the org knows exactly what was spent.
    fn settle_everything(&mut self) {
        for key in 0..KEYS {
            self.carry_all_of(key);
            for day in self.days() {
                self.ask(key, &Return { day, wanted: None }).unwrap();
            }
            self.carry_all_of(key);
        }
        self.count();
    }
}

fn pick_of<T: Copy>(among: &[T], pick: usize) -> Option<T> {
    if among.is_empty() { None } else { Some(among[pick % among.len()]) }
}

fn step() -> impl Strategy<Value = Step> {
    let limit = || prop::option::weighted(0.6, (0_i64..60).prop_map(|n| n * 10_000));
    let key = || 0..KEYS;
    prop_oneof![
        30 => (key(), 1_u64..12, prop::bool::weighted(0.1), prop::bool::weighted(0.9))
            .prop_map(|(key, tokens, stale, carry)| Step::Call { key, tokens, stale, carry }),
        20 => (any::<usize>(), 0_u64..14, prop::bool::weighted(0.2))
            .prop_map(|(pick, tokens, forfeit)| Step::End { pick, tokens, forfeit }),
        4 => (any::<usize>(), 0_i64..1_001).prop_map(|(pick, permille)| Step::Correct { pick, permille }),
        6 => (key(), 0_i32..3, prop::option::of(0_i64..100_000))
            .prop_map(|(key, days_ago, wanted)| Step::Return { key, days_ago, wanted }),
        10 => any::<usize>().prop_map(|pick| Step::Again { pick }),
        4 => key().prop_map(|key| Step::Carry { key }),
        4 => (limit(), limit(), limit(), limit())
            .prop_map(|(day, week, month, total)| Step::Budgets { day, week, month, total }),
        1 => key().prop_map(|key| Step::Revoke { key }),
        4 => prop_oneof![5 => 0_i64..9, 1 => 24_i64..1_200].prop_map(|hours| Step::Wait { hours }),
        2 => Just(Step::Close),
        1 => Just(Step::Count),
    ]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn keys_never_spend_more_than_their_org_has_and_what_is_idle_comes_back(
        steps in prop::collection::vec(step(), 1..90)
    ) {
        let mut world = World::new();
        for step in &steps {
            let before = world.ceilings.clone();
            world.step(step);
            // A count, an overrun and lowered limits bring a window above its limit; nothing else may.
            if !matches!(step, Step::End { .. } | Step::Budgets { .. } | Step::Count | Step::Wait { .. }) {
                world.grew_within_limits(&before)?;
            }
            world.check()?;
        }
        world.settle_everything();
        let org = world.org.state();
        if org.allotted.since().is_some() {
            for kind in WindowKind::ALL {
                let used = org.allotted.used(kind, world.today()).as_nanos();
                let exact = world.truth(kind);
                // Late corrections of slices that are forgotten do not come back to the total.
                let is_exact = if kind == WindowKind::Total { used >= exact } else { used == exact };
                prop_assert!(is_exact, "{kind}: {used} is out in the end, {exact} was spent");
            }
        }
        for key in &world.keys {
            let key = key.state().unwrap();
            let revoked = key.status == Status::Revoked;
            prop_assert!(!revoked || key.slices.all().all(|slice| slice.idle() <= Nanos::ZERO));
        }
    }
}
