//! Opens the demo's ledger on a clock of its own and brings it up to the present.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::NaiveDate;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nemo_events::{KeyId, Position, Timestamp};
use nemo_store::EventStore;

use super::Liveliness;
use super::live::CALLERS;
use super::plan;
use super::rhythm::midnight;
use super::write::Writer;
use crate::auth::secrets::Secrets;
use crate::auth::token::VirtualKeyText;
use crate::catalogue::Catalogue;
use crate::clock::ManualClock;
use crate::config::Config;
use crate::ledger::{Ledger, LedgerOptions, NoSnapshots};
use crate::providers::Providers;
use crate::secrets_match;

/// How long the last commits are waited for.
const DRAIN: Duration = Duration::from_secs(30);

/// Writes what happened since the ledger's last event, up to `now`. Returns the full keys that were made.
pub(super) async fn write(
    config: Config,
    first_day: NaiveDate,
    now: Timestamp,
    liveliness: Liveliness,
) -> anyhow::Result<HashMap<KeyId, VirtualKeyText>> {
    let store = crate::store::open_embedded(config.server.data_dir.clone(), |_| {}).await?.events;
    let last = last_event(store.as_ref()).await?;
    let secrets = match last {
        None => Secrets::open_or_create(&config.server.secrets_dir())?.0,
        Some(_) => Secrets::open(&config.server.secrets_dir())?,
    };
    let providers = Providers::new(&config, &Catalogue::with(&config.prices)?, None)?;
    let from = last.unwrap_or_else(|| midnight(first_day));
    let clock = Arc::new(ManualClock::new(from));
    let options = LedgerOptions {
        store: Arc::clone(&store),
        clock: clock.clone(),
        node: config.server.node.clone(),
        accounts_max_bytes: config.server.accounts_max_bytes,
        snapshots: Arc::new(NoSnapshots),
    };
    let ledger = Ledger::unread(options);
    ledger.read().await.context("cannot read the demo's ledger")?;
    let ours = secrets.fingerprints();
    let introduce = move |known: &[_]| secrets_match::compare(known, &ours);
    ledger.node_started(introduce).await.context("cannot write to the demo's ledger")??;

    let mut writer = Writer::new(&ledger, &clock, &secrets, &providers);
    let progress = Progress::new(first_day, from, now, last.is_none());
    writer.write(plan::between(first_day, from, now), now, |at| progress.tell(at)).await?;
    clock.set(now.max(from));
    if liveliness == Liveliness::Traffic {
        for role in CALLERS {
            if !writer.keys.contains_key(&role.key()?) {
                writer.rotate(role, 0).await?;
            }
        }
    }
    let keys = writer.keys;
    ledger.write_refusals().await;
    ledger.node_stopped().await.context("cannot write to the demo's ledger")?;
    tokio::time::timeout(DRAIN, ledger.drain()).await.context("the demo's ledger does not come to rest")?;
    let events = store.head().await?.unwrap_or(Position(0));
    store.close().await;
    progress.done(events);
    Ok(keys)
}

/// When the last event was recorded.
async fn last_event(store: &dyn EventStore) -> anyhow::Result<Option<Timestamp>> {
    let Some(head) = store.head().await? else { return Ok(None) };
    let last = store.read_all(head.0.checked_sub(1).map(Position), 1).await?;
    Ok(last.first().map(|record| record.event.recorded_at))
}

/// Tells on standard error how far the past is written: a bar on a terminal, a line elsewhere.
struct Progress {
    bar: ProgressBar,
    first: Timestamp,
    is_new: bool,
}

impl Progress {
    fn new(first_day: NaiveDate, from: Timestamp, now: Timestamp, is_new: bool) -> Self {
        let first = if is_new { midnight(first_day) } else { from };
        let bar = ProgressBar::with_draw_target(Some(days(first, now)), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} {bar:30} day {pos} of {len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message("Inventing the past of the demo");
        if is_new && !std::io::stderr().is_terminal() {
            eprintln!("Inventing {} days of the past for the demo …", plan::DAYS);
        }
        Self { bar, first, is_new }
    }

    fn tell(&self, at: Timestamp) {
        let day = days(self.first, at);
        if day != self.bar.position() {
            self.bar.set_position(day);
        }
    }

    fn done(&self, events: Position) {
        self.bar.finish_and_clear();
        if self.is_new {
            eprintln!("Invented {} days of the past: {events} events.", plan::DAYS);
        }
    }
}

fn days(from: Timestamp, to: Timestamp) -> u64 {
    let day = 24 * 3_600 * nemo_events::time::MICROS_PER_SEC;
    u64::try_from(to.micros_since(from) / day).unwrap_or_default()
}
