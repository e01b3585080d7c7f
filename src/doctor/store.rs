//! A ledger on a server: whether it answers, and as whom; when a node last wrote there that it started.

use std::time::{Duration, Instant};

use nemo_events::{Revision, StreamName, Timestamp};
use nemo_store::{Direction, EmbeddedStore, EventStore, ReadError};

use super::configuration::chain;
use super::finding::Findings;
use crate::config::{Config, ServerStore, StoreEntry};
use crate::store;

const CHECK: &str = "store";
/// How long the server may take to answer for the first time; a cluster may be looking for a leader.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Says whether the ledger can be reached. When something was last recorded in it, as far as that can be told
/// without taking the ledger over.
pub(super) async fn look(
    config: &Config,
    online: bool,
    served: bool,
    findings: &mut Findings,
) -> Option<Timestamp> {
    match &config.store {
        // While somebody writes, a glance could see half a page.
        StoreEntry::Embedded if served => None,
        StoreEntry::Embedded => EmbeddedStore::glance_at_last(&config.server.data_dir),
        StoreEntry::Server(_) if !online => None,
        StoreEntry::Server(server) => look_at_server(server, findings).await,
    }
}

async fn look_at_server(server: &ServerStore, findings: &mut Findings) -> Option<Timestamp> {
    let opened = match store::connect(server) {
        Ok(opened) => opened,
        Err(error) => {
            findings.fail(
                CHECK,
                format!("{error:#}"),
                "Mend [store]: the address, the login and its password.",
            );
            return None;
        }
    };
    let began = Instant::now();
    let answer = last_start(&*opened.events, began).await;
    let place = &opened.place;
    let last = match answer {
        Ok(None) => {
            let next = "Right for a new ledger. If there should be one, is store.stream_prefix what it was?";
            findings.warn(CHECK, format!("{place} answers and holds no ledger"), next);
            None
        }
        Ok(Some(last)) => {
            let took = began.elapsed().as_millis();
            findings.ok(CHECK, format!("{place} answers in {took} ms and holds a ledger"));
            Some(last)
        }
        Err(error @ ReadError::Damaged { .. }) => {
            let next = "`nemo ledger verify` says more.";
            findings.fail(CHECK, format!("the ledger on {place} does not hold: {}", chain(&error)), next);
            None
        }
        Err(error) => {
            let next = "Check store.url, the login, the certificate, the network and the server itself. A node starts \
                        without it and waits; calls are refused with 503 until it answers.";
            findings.fail(CHECK, format!("{place} cannot be reached: {}", chain(&error)), next);
            None
        }
    };
    opened.events.close().await;
    last
}

/// A node refuses to start if its clock is behind this.
async fn last_start(events: &dyn EventStore, began: Instant) -> Result<Option<Timestamp>, ReadError> {
    loop {
        let read =
            events.read_stream(&StreamName::Gateway, Revision(u64::MAX), Direction::Backwards, 1).await;
        match read {
            Ok(page) => return Ok(page.first().map(|last| last.event.recorded_at)),
            Err(ReadError::Unavailable(_)) if began.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}
