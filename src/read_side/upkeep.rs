//! What has to be done now and then: ending calls that nobody will end any more, and writing down
//! what was refused. All of it may be stopped at any await and goes on at the next start.

use std::sync::Arc;
use std::time::Duration;

use nemo_events::{BootId, NodeId, Timestamp};
use nemo_read_model::{Answer, Limit, OpenCallRow, Page, PageRequest, ReadModelError, Reader};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::Shared;
use crate::ledger::Ledger;
use crate::ledger::reap::Orphan;

/// How often overdue calls are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How far past its deadline a call must be before anybody may end it.
const OVERDUE_SECS: i64 = 30;
/// How often refusals are written down.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// Ends the calls that earlier starts of this node left open, once the read model knows all of them, and
/// those that are overdue, whoever made them. Looks every 10 s: what could not be ended once, because the
/// store was away, is ended later.
pub(super) async fn end_lost_calls(ledger: Arc<Ledger>, shared: Arc<Shared>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // What is out of date lists calls that ended long ago.
        shared.board.caught_up().await;
        end_all(&ledger, &shared, Lost::EarlierBoots(ledger.node().clone(), ledger.boot())).await;
        let deadline_by = ledger.now().plus_secs(OVERDUE_SECS.saturating_neg());
        end_all(&ledger, &shared, Lost::Overdue(deadline_by)).await;
    }
}

/// Takes back, every 10 s, what is left of slices of past days.
pub(super) async fn tidy_allotments(ledger: Arc<Ledger>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        ledger.tidy_allotments().await;
    }
}

/// Writes down, every minute, what was refused since the last one.
pub(super) async fn write_refusals(ledger: Arc<Ledger>) {
    let mut ticks = interval(WRITE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        ledger.write_refusals().await;
    }
}

/// Calls that nobody will end any more.
#[derive(Clone)]
enum Lost {
    /// Their node has started again since.
    EarlierBoots(NodeId, BootId),
    /// Their deadline was at this moment or before.
    Overdue(Timestamp),
}

impl Lost {
    fn page(&self, reader: &Reader, page: &PageRequest) -> Result<Answer<Page<OpenCallRow>>, ReadModelError> {
        match self {
            Self::EarlierBoots(node, boot) => reader.open_calls_of_earlier_boots(node, *boot, page),
            Self::Overdue(deadline_by) => reader.overdue(*deadline_by, page),
        }
    }

    async fn end(&self, ledger: &Arc<Ledger>, orphan: Orphan) {
        match self {
            Self::EarlierBoots(..) => ledger.end_orphan(orphan).await,
            Self::Overdue(_) => ledger.end_overdue(orphan).await,
        }
    }
}

/// Ends lost calls page by page. Those that cannot be asked for now are overdue at the latest.
async fn end_all(ledger: &Arc<Ledger>, shared: &Shared, lost: Lost) {
    let mut page = PageRequest { after: None, limit: Limit::at_most(Limit::MAX) };
    loop {
        let (asked, request) = (lost.clone(), page.clone());
        let found = match shared.read(move |reader| asked.page(reader, &request)).await {
            Ok(found) => found.value,
            Err(error) => return warn!(%error, "lost calls cannot be looked for"),
        };
        for OpenCallRow { key, call, .. } in found.rows {
            lost.end(ledger, Orphan { key, call }).await;
        }
        match found.next {
            Some(next) => page.after = Some(next),
            None => return,
        }
    }
}
