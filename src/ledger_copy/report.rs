//! What is told of a copy: how far it is, and what came of it.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nemo_store::copy::{Copied, Phase, Progress};
use serde_json::json;

use crate::cli::progress::Progress as Bar;
use crate::cli::render::money::grouped;
use crate::cli::{CommandError, Output};
use crate::store::Place;

/// The bar of the phase that runs.
#[derive(Default)]
pub(super) struct Told(Mutex<Option<(Phase, Bar)>>);

impl Told {
    pub(super) fn at(&self, progress: Progress) {
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
    pub(super) fn done(&self) {
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

pub(super) fn print(
    output: Output,
    from: &Place,
    to: &Place,
    copied: &Copied,
    took: Duration,
) -> anyhow::Result<()> {
    let Copied { new, same, source_grew } = copied;
    let text = match output {
        Output::Json | Output::Jsonl => {
            let report = json!({
                "from": from, "to": to, "copied": new, "events": same.events, "bytes": same.bytes,
                "streams": same.streams, "log_digest": same.log, "heads_digest": same.heads,
                "source_grew": source_grew, "seconds": took.as_secs_f64(),
            });
            format!("{report}\n")
        }
        Output::Csv => format!(
            "copied,events,bytes,streams,log_digest,heads_digest,source_grew\n{new},{},{},{},{},{},{source_grew}\n",
            same.events, same.bytes, same.streams, same.log, same.heads
        ),
        Output::Table => format!(
            "copied    {} events, from {from} to {to}, in {took:.0?}\n\
             the same  {} events, {} bytes, {} streams; every event, every head and the folds of both\n\
             log       {}\nheads     {}\n",
            grouped(*new),
            grouped(same.events),
            grouped(same.bytes),
            grouped(same.streams),
            same.log,
            same.heads
        ),
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| CommandError::unwritable(&error))?;
    if *source_grew {
        eprintln!("The source has grown meanwhile: run the same command again for the rest.");
    }
    Ok(())
}
