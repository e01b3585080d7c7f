//! Which alerts of budgets a history should have, found by looking at the whole list before each event.

use nemo_events::KeyEvent;
use nemo_events::limits::WindowKind;

use super::{Ledger, calendar};

/// An alert: the event that raises it, by its place in the list, and the window.
pub(crate) type Due = (usize, WindowKind, i64);

impl Ledger {
    /// The alerts that should be there.
    pub(crate) fn alerts_due(&self) -> Vec<Due> {
        let (mut told, mut due) = (Vec::<(WindowKind, i64)>::new(), Vec::new());
        for (n, (moment, event)) in self.log.iter().enumerate() {
            let so_far = Self { log: self.log.iter().take(n + 1).cloned().collect() };
            let in_same = |kind, one, other| calendar::number(kind, one) == calendar::number(kind, other);
            let at = match event {
                KeyEvent::KeyLimitsSet(_) => {
                    told.retain(|(kind, at)| so_far.reached(*kind, *at));
                    *moment
                }
                KeyEvent::CallSettled(e) => so_far.authorized_at(e.call),
                KeyEvent::CallForfeited(e) => so_far.authorized_at(e.call),
                _ => continue,
            };
            for kind in WindowKind::ALL {
                let known = told.iter().any(|(told, then)| *told == kind && in_same(kind, *then, at));
                if so_far.reached(kind, at) && !known {
                    told.push((kind, at));
                    due.push((n, kind, calendar::number(kind, at)));
                }
            }
        }
        due
    }

    /// The alerts that are there.
    pub(crate) fn alerts_raised(&self) -> Vec<Due> {
        let mut raised = Vec::new();
        let mut by = 0;
        for (n, (_, event)) in self.log.iter().enumerate() {
            match event {
                KeyEvent::BudgetAlertRaised(alert) => {
                    let number = calendar::number(alert.window, alert.window_start.as_micros());
                    raised.push((by, alert.window, number));
                }
                _ => by = n,
            }
        }
        raised
    }

    fn authorized_at(&self, wanted: nemo_events::CallId) -> i64 {
        self.calls().find(|(_, call)| call.call == wanted).unwrap().0
    }

    fn reached(&self, kind: WindowKind, at: i64) -> bool {
        let settled = self.sums(kind, at).settled;
        self.limits().budgets.iter().any(|budget| {
            let limit = i128::from(budget.limit.as_nanos());
            let share = budget.alert_at_percent.map(|percent| limit * i128::from(percent));
            budget.window == kind && settled > 0 && share.is_some_and(|share| settled * 100 >= share)
        })
    }
}
