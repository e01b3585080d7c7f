//! `nemo ledger accept-end`: for a ledger whose watermark is lost, and somebody who knows that its end is not.

use nemo_store::embedded::WatermarkRule;

use super::{directory, marks};
use crate::cli::AcceptEndArgs;
use crate::cli::screen::Screen;

/// Writes a new watermark for the end that is there, if it is meant.
///
/// # Errors
/// A ledger that is in use or damaged, or ends before a watermark that can be read; no consent.
pub async fn run(args: &AcceptEndArgs) -> anyhow::Result<()> {
    let (dir, mut screen) = (&args.data_dir, Screen::of_process());
    marks::require_ledger(dir)?;
    if args.consent.must_ask(&screen)? {
        screen.confirm(
            "If events are missing at this ledger's end, nobody will ever be able to tell. Restoring a backup is \
             the safe way.",
        )?;
    }
    let events = directory::open_with(dir, WatermarkRule::AcceptMissing).await?;
    let head = events.head().await?;
    events.close().await;
    let end = head.map_or_else(|| "no event".to_owned(), |head| format!("position {head}"));
    screen.say(&format!("The ledger in {} ends at {end}; its watermark says so.", dir.display()));
    Ok(())
}
