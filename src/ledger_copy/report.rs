//! What came of a copy.

use std::io::Write as _;
use std::time::Duration;

use nemo_store::copy::Copied;
use serde_json::json;

use crate::cli::render::money::grouped;
use crate::cli::{CommandError, Output};
use crate::store::Place;

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
