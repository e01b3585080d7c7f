//! Budgets of orgs, judged by what is stored of all streams in the order in which it was stored.
//!
//! What an org has out is what it allotted and did not reclaim, by the largest totals, and what it counted as spent
//! before. It may be above a limit only where the limit was lowered, or a provider reported more than a hold. What
//! its keys were charged and hold may never be above what it has out.

use std::collections::BTreeMap;

use nemo_events::limits::{Budget, WhenShort, WindowKind};
use nemo_events::{Day, KeyEvent, KeyId, OrgEvent, StreamName};

use nemo_projections::Refusal;
use nemo_projections::decide::Authorize;

use super::super::support::{call_id, void};
use super::reference::{Ledger as Naive, Standing, Verdict, calendar};
use super::script::{Asked, KEYS, NODES, ORGS};
use super::world::{World, command, key, org, org_of, wish};
use crate::ledger::ExecuteError;

/// An event of a key or of an org.
enum Entry {
    Key(usize, i64, KeyEvent),
    Org(usize, OrgEvent),
}

/// An org and its keys up to some place in the log.
#[derive(Default)]
struct Books {
    keys: BTreeMap<usize, Naive>,
    budgets: Vec<Budget>,
    granted: BTreeMap<(KeyId, Day), i128>,
    reclaimed: BTreeMap<(KeyId, Day), i128>,
    counted: Option<Vec<(WindowKind, Day, i128)>>,
}

impl Books {
    /// What the org has out of the window of a kind that a moment falls in.
    fn out(&self, kind: WindowKind, moment: i64) -> i128 {
        let window = calendar::number(kind, moment);
        let in_window = |day: &Day| calendar::number(kind, day.start().as_micros()) == window;
        let of = |totals: &BTreeMap<(KeyId, Day), i128>| -> i128 {
            totals.iter().filter(|((_, day), _)| in_window(day)).map(|(_, total)| total).sum()
        };
        let counted = self.counted.iter().flatten();
        let before = counted.filter(|(of, start, _)| *of == kind && in_window(start)).map(|(_, _, n)| n);
        of(&self.granted) - of(&self.reclaimed) + before.sum::<i128>()
    }

    /// What its keys were charged and hold, and how much of that is more than was ever held for it.
    fn used(&self, kind: WindowKind, moment: i64) -> (i128, i128) {
        let (mut used, mut overrun) = (0, 0);
        for log in self.keys.values() {
            let sums = log.sums(kind, moment);
            used += sums.settled + sums.held;
            let window = calendar::number(kind, moment);
            for (_, call) in log.calls().filter(|(then, _)| calendar::number(kind, *then) == window) {
                if let Standing::Ended(charged, _) = log.standing(call.call) {
                    overrun += (charged - i128::from(call.hold.amount.as_nanos())).max(0);
                }
            }
        }
        (used, overrun)
    }

    /// What a key was charged of a day, holds and returned beyond what it was granted.
    fn deficit(&self, key: usize, id: KeyId, day: Day) -> i128 {
        let Some(log) = self.keys.get(&key) else { return 0 };
        let returned = log.log.iter().filter_map(|(_, event)| match event {
            KeyEvent::AllotmentReturned(e) if e.day == day => Some(i128::from(e.total.as_nanos())),
            _ => None,
        });
        let of_day = log.calls().filter(|(then, call)| {
            call.allotted
                && calendar::number(WindowKind::Day, *then)
                    == calendar::number(WindowKind::Day, day.start().as_micros())
        });
        let spent: i128 = of_day
            .map(|(_, call)| match log.standing(call.call) {
                Standing::Open => call.hold.amount.as_nanos().into(),
                Standing::Ended(charged, _) => charged,
            })
            .sum();
        let granted = self.granted.get(&(id, day)).copied().unwrap_or_default();
        (spent + returned.max().unwrap_or_default() - granted).max(0)
    }
}

impl World<'_> {
    /// The budgets of an org, behind each of its events.
    pub(super) fn org_budgets(&self, n: usize) -> Vec<Vec<Budget>> {
        let mut budgets = Vec::new();
        let events = self.stored(StreamName::Org(org(n))).into_iter().map(|record| {
            let event = record.event;
            if let OrgEvent::OrgBudgetsSet(set) =
                OrgEvent::decode(&event.event_type, event.version, &event.data).unwrap()
            {
                budgets = set.budgets;
            }
            budgets.clone()
        });
        events.collect()
    }

    pub(super) fn org_had_budgets(&self, n: usize) -> bool {
        self.org_budgets(n).iter().any(|budgets| !budgets.is_empty())
    }

    /// In the quiet afterwards every call that fits its org's budgets is made, wherever the money is; and of those
    /// that do not fit each is told whether it must wait or cannot.
    pub(super) async fn check_what_fits_orgs_now(&self) {
        for n in (0..KEYS).filter(|n| !self.org_budgets(org_of(*n)).last().unwrap().is_empty()) {
            for (place, (input_tokens, output_limit)) in [(100, 100), (7, 31), (1, 0)].into_iter().enumerate()
            {
                let node = (n + place) % NODES;
                self.check_what_fits_org_now(
                    Asked { node, key: n, input_tokens, output_limit: Some(output_limit) },
                    place,
                )
                .await;
            }
        }
    }

    async fn check_what_fits_org_now(&self, asked: Asked, place: usize) {
        let n = org_of(asked.key);
        let (budgets, moment) =
            (self.org_budgets(n).pop().unwrap(), *self.clocks[asked.node].last().unwrap());
        let log = self.naive(asked.key);
        let Verdict::Admitted { amount, .. } = log.verdict(&wish(asked), moment) else { return };
        if *self.suspended(n).last().unwrap() || log.limits().when_short == WhenShort::Clamp {
            return;
        }
        let sums = |kind| {
            let keys = (0..KEYS).filter(|key| org_of(*key) == n);
            keys.map(|key| self.naive(key).sums(kind, moment))
                .fold((0, 0), |(settled, held), sums| (settled + sums.settled, held + sums.held))
        };
        let fits = |with_held: bool| {
            budgets.iter().all(|budget| {
                let (settled, held) = sums(budget.window);
                settled + if with_held { held } else { 0 } + amount <= i128::from(budget.limit.as_nanos())
            })
        };
        let expected = match (fits(true), fits(false)) {
            (true, _) => "made",
            (false, true) => "budget_held",
            (false, false) => "budget_exceeded",
        };
        let (ledger, account) = (self.ledger(asked.node), &self.members[asked.node].keys[asked.key]);
        let id = call_id(1 << 64 | (asked.key as u128) << 8 | place as u128);
        let org = ledger.org_view(Some(org(n))).await.unwrap();
        let told = ledger.authorize(account, Authorize { org, ..command(id, asked) }).await;
        let code = match &told {
            Ok(_) => "made",
            // What an open call outside of slices holds counts as spent, and is not counted again at its end.
            Err(ExecuteError::Refused(_)) if self.has_unfinished_outside(n) && expected != "made" => expected,
            Err(ExecuteError::Refused(_)) if self.has_unfinished_outside(n) => return,
            // Told to wait, which is true until it is asked again: some of it is idle elsewhere.
            Err(ExecuteError::Refused(Refusal::BudgetHeld(_))) if expected == "made" => return,
            // What an interruption left under way of a day that is over comes back now and then, not at once.
            Err(ExecuteError::Refused(_)) if self.has_slices_before(n, moment) => return,
            Err(ExecuteError::Refused(refusal)) => refusal.code(),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(code, expected, "{asked:?} {told:?} under {budgets:?} of {:?}", WindowKind::ALL.map(sums));
        if let Ok(authorized) = told {
            authorized.void(void(id)).await.unwrap();
        }
    }

    /// Whether anything was ever allotted of a day before that of a moment.
    fn has_slices_before(&self, n: usize, moment: i64) -> bool {
        self.stored(StreamName::Org(org(n))).into_iter().any(|record| {
            let event = record.event;
            let decoded = OrgEvent::decode(&event.event_type, event.version, &event.data).unwrap();
            let today = moment / calendar::DAY * calendar::DAY;
            matches!(decoded, OrgEvent::BudgetAllotted(e) if e.day.start().as_micros() < today)
        })
    }

    /// Whether a call that draws on no slice was open when the org counted what its keys had spent.
    fn has_unfinished_outside(&self, n: usize) -> bool {
        let counted = self.stored(StreamName::Org(org(n))).into_iter().rev();
        let mut counted = counted.filter(|record| record.event.event_type == "SpendCounted");
        let Some(counted_at) = counted.next().map(|record| record.event.recorded_at.as_micros()) else {
            return false;
        };
        (0..KEYS).filter(|key| org_of(*key) == n).any(|key| {
            let log = self.naive(key);
            let mut outside = log.calls().filter(|(_, call)| !call.allotted);
            outside.any(|(_, call)| log.ends(call.call).first().is_none_or(|ended| *ended >= counted_at))
        })
    }

    /// Everything that is stored of keys and orgs, in order.
    async fn log(&self) -> Vec<Entry> {
        use nemo_store::EventStore as _;
        let records = self.memory.read_all(None, usize::MAX).await.unwrap();
        let entry = |record: nemo_events::EventRecord| {
            let event = record.event;
            let (version, data) = (event.version, &event.data);
            match event.stream {
                StreamName::Key(id) => {
                    let decoded = KeyEvent::decode(&event.event_type, version, data).unwrap();
                    let n = (0..KEYS).find(|n| key(*n) == id)?;
                    Some(Entry::Key(n, event.recorded_at.as_micros(), decoded))
                }
                StreamName::Org(id) => {
                    let decoded = OrgEvent::decode(&event.event_type, version, data).unwrap();
                    Some(Entry::Org((0..ORGS).find(|n| org(*n) == id)?, decoded))
                }
                _ => None,
            }
        };
        records.into_iter().filter_map(entry).collect()
    }

    /// Nothing is allotted beyond a limit, and nothing is spent or held beyond what is out.
    pub(super) async fn check_orgs(&self) {
        let mut books: Vec<Books> = (0..ORGS).map(|_| Books::default()).collect();
        for entry in self.log().await {
            match entry {
                Entry::Key(n, moment, event) => {
                    let books = &mut books[org_of(n)];
                    books.keys.entry(n).or_default().log.push((moment, event.clone()));
                    if let KeyEvent::CallAuthorized(call) = event {
                        self.check_call(books, moment, call.allotted);
                    }
                }
                Entry::Org(n, event) => self.org_event(&mut books[n], &event),
            }
        }
    }

    fn check_call(&self, books: &Books, moment: i64, allotted: bool) {
        if books.budgets.is_empty() || books.counted.is_none() {
            return;
        }
        assert!(allotted, "a call drew on no slice though its org's budgets bind");
        self.note("drew on a slice");
        for budget in &books.budgets {
            let (used, overrun) = books.used(budget.window, moment);
            let limit = i128::from(budget.limit.as_nanos());
            let may = books.out(budget.window, moment).max(limit);
            assert!(used - overrun <= may, "{budget:?}: {used} with {overrun} too much, where {may} is out");
        }
    }

    fn org_event(&self, books: &mut Books, event: &OrgEvent) {
        match event {
            OrgEvent::OrgBudgetsSet(set) => {
                if set.budgets.is_empty() || books.budgets.is_empty() {
                    books.counted = None;
                }
                books.budgets.clone_from(&set.budgets);
            }
            OrgEvent::SpendCounted(e) => {
                let spent = e.spent.iter().map(|s| (s.window, s.start, s.amount.as_nanos().into()));
                books.counted = Some(spent.collect());
                self.note("spend was counted");
            }
            OrgEvent::BudgetAllotted(e) => {
                let moment = e.day.start().as_micros();
                let n = (0..KEYS).find(|n| key(*n) == e.key).unwrap();
                let (deficit, place) = (books.deficit(n, e.key, e.day), (e.key, e.day));
                let before: Vec<_> = WindowKind::ALL.map(|kind| books.out(kind, moment)).into();
                let granted = books.granted.entry(place).or_default();
                assert!(i128::from(e.total.as_nanos()) > *granted, "nothing more was allotted");
                *granted = e.total.as_nanos().into();
                for (kind, before) in WindowKind::ALL.into_iter().zip(before) {
                    let Some(budget) = books.budgets.iter().find(|budget| budget.window == kind) else {
                        continue;
                    };
                    let may = i128::from(budget.limit.as_nanos()).max(before + deficit);
                    let out = books.out(kind, moment);
                    assert!(
                        out <= may,
                        "{budget:?}: {out} is out after {e:?}, before {before}, {deficit} short"
                    );
                }
                self.note(if deficit > 0 { "an overrun was covered" } else { "budget was allotted" });
            }
            OrgEvent::AllotmentReclaimed(e) => {
                let place = (e.key, e.day);
                let total = i128::from(e.total.as_nanos());
                assert!(
                    total <= books.granted.get(&place).copied().unwrap_or_default(),
                    "more came back than went"
                );
                let reclaimed = books.reclaimed.entry(place).or_default();
                *reclaimed = total.max(*reclaimed);
                self.note("an allotment came back");
            }
            _ => {}
        }
    }
}
