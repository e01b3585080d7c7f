//! How far a copy between stores is, told to whoever waits at a terminal.

use std::sync::{Mutex, PoisonError};

use nemo_store::copy::{Phase, Progress};

use crate::cli::progress::Progress as Bar;

/// The bar of the phase that runs.
#[derive(Default)]
pub struct Told(Mutex<Option<(Phase, Bar)>>);

impl Told {
    /// Moves the bar, or begins the next phase's.
    pub fn at(&self, progress: Progress) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref().is_none_or(|(phase, _)| *phase != progress.phase) {
            let what = match progress.phase {
                Phase::Resuming => "comparing what is there already",
                Phase::Copying => "copying events",
                Phase::Comparing => "reading both and comparing",
            };
            *told = Some((progress.phase, Bar::begin(what)));
        }
        if let Some((_, bar)) = told.as_ref() {
            bar.at(progress.events, expected_events(&progress));
        }
    }

    /// Takes the bar off the terminal.
    pub fn done(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// How many events there will be: positions grow with the log, so their ratio says about how far it is.
/// Nothing but the bar rests on it.
fn expected_events(progress: &Progress) -> u64 {
    let reached = progress.reached.map_or(0, |position| u128::from(position.0)).max(1);
    let expected = u128::from(progress.events).saturating_mul(u128::from(progress.end.0)) / reached;
    u64::try_from(expected).unwrap_or(u64::MAX).max(progress.events)
}

#[cfg(test)]
mod tests {
    use nemo_events::Position;

    use super::*;

    fn at(events: u64, reached: Option<u64>, end: u64) -> u64 {
        let reached = reached.map(Position);
        expected_events(&Progress { phase: Phase::Copying, events, bytes: 0, reached, end: Position(end) })
    }

    #[test]
    fn a_copy_expects_as_many_events_as_its_positions_promise_and_never_fewer_than_it_has() {
        assert_eq!(at(0, None, 100), 0);
        assert_eq!(at(10, Some(10), 100), 100);
        assert_eq!(at(10, Some(5000), 20_000), 40, "where a store counts bytes");
        assert_eq!(at(70, Some(100), 60), 70, "the log grew meanwhile");
        assert_eq!(at(u64::MAX, Some(1), u64::MAX), u64::MAX);
    }
}
