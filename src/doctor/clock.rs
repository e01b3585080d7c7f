//! The clock: not before what the ledger and its files say, nor before this program was made. How it compares with the
//! rest of the world the providers tell.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nemo_events::Timestamp;
use nemo_store::EmbeddedStore;

use super::finding::Findings;
use crate::clock::{Clock, SystemClock};

pub(super) const CHECK: &str = "clock";
/// A node that is further behind its ledger refuses to decide.
pub(super) const APART_MOST: Duration = Duration::from_secs(5);
/// Nothing of this was written before (2026-11-01).
const EARLIEST_SECS: i64 = 1_793_491_200;

/// `last` is when the last event was recorded, where that is known.
pub(super) fn look(data_dir: &Path, last: Option<Timestamp>, findings: &mut Findings) {
    let now = SystemClock.now();
    if now < Timestamp::EPOCH.plus_secs(EARLIEST_SECS) {
        findings.fail(
            CHECK,
            format!("it shows {now}, which is long past"),
            "Set the clock; let NTP keep it.",
        );
        return;
    }
    let by_event = last.map(|last| (until(last, now), "the last event in the ledger"));
    let by_file = last_written(data_dir)
        .map(|written| (until_file(written), "the time when the ledger was last written"));
    match [by_event, by_file].into_iter().flatten().max() {
        None => findings.ok(CHECK, format!("it shows {now}; there is no ledger yet to compare it with")),
        Some((ahead, of)) if ahead > APART_MOST => {
            let found = format!(
                "it is {} s behind {of}: calls are refused with 503 until it has caught up",
                ahead.as_secs()
            );
            let next = "Set the clock; let NTP keep it. If it is right, whoever wrote the ledger had a wrong one: \
                        wait, or restore a backup that ends before that.";
            findings.fail(CHECK, found, next);
        }
        Some(_) => findings.ok(CHECK, format!("it shows {now}, not before the ledger's last write")),
    }
}

/// How long it is until then; nothing where that is past.
fn until(moment: Timestamp, now: Timestamp) -> Duration {
    Duration::from_micros(moment.micros_since(now).max(0).unsigned_abs())
}

fn until_file(written: SystemTime) -> Duration {
    written.duration_since(SystemTime::now()).unwrap_or_default()
}

/// When one of the ledger's files was last written.
fn last_written(data_dir: &Path) -> Option<SystemTime> {
    let database = data_dir.join(EmbeddedStore::FILE_NAME);
    let log = data_dir.join(format!("{}-wal", EmbeddedStore::FILE_NAME));
    [database, log].iter().filter_map(|file| fs::metadata(file).ok()?.modified().ok()).max()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use std::fs::File;

    use tempfile::TempDir;

    use super::super::finding::Level;
    use super::*;

    fn level_with_ledger_ahead_by(secs: u64) -> Level {
        let home = TempDir::new().unwrap();
        let file = File::create(home.path().join(EmbeddedStore::FILE_NAME)).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(secs)).unwrap();
        level(home.path(), None)
    }

    fn level(data_dir: &Path, last: Option<Timestamp>) -> Level {
        let mut findings = Findings::default();
        look(data_dir, last, &mut findings);
        findings.told().first().unwrap().0
    }

    #[test]
    fn a_clock_behind_the_ledger_fails_beyond_what_a_node_tolerates() {
        assert_eq!(level_with_ledger_ahead_by(0), Level::Ok);
        assert_eq!(level_with_ledger_ahead_by(3), Level::Ok);
        assert_eq!(level_with_ledger_ahead_by(60), Level::Fail);
    }

    #[test]
    fn a_clock_behind_the_last_event_fails_whenever_the_files_were_written() {
        let home = TempDir::new().unwrap();
        let in_secs = |secs| Some(SystemClock.now().plus_secs(secs));
        assert_eq!(level(home.path(), in_secs(3)), Level::Ok);
        assert_eq!(level(home.path(), in_secs(-3600)), Level::Ok);
        assert_eq!(level(home.path(), in_secs(60)), Level::Fail);
    }
}
