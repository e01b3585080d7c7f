//! `nemo ledger verify --serving`: a ledger that goes on growing, read over HTTP up to where it ended when this
//! began, and checked here, whatever the node that serves it may believe.

use std::sync::Arc;
use std::time::Instant;

use nemo_events::{Digest, Position};
use nemo_store::{EventStore, UpTo};
use serde::Serialize;

use super::{chains, projections};
use crate::backup::print;
use crate::backup::remote_log::RemoteLog;
use crate::cli::remote::RemoteOptions;
use crate::cli::render::{Cell, Column, Shape};
use crate::cli::{CommandError, Exit};

/// A ledger that holds, up to a position.
#[derive(Serialize)]
struct Verified {
    server: String,
    position: Position,
    events: u64,
    streams: u64,
    log_digest: Digest,
    heads_digest: Digest,
    seconds: f64,
}

static VERIFIED: Shape<Verified> = Shape {
    columns: &[
        Column::new("server", "Server", |it| Cell::Id(it.server.clone())),
        Column::new("position", "Position", |it| Cell::Count(it.position.0)),
        Column::new("events", "Events", |it| Cell::Count(it.events)),
        Column::new("streams", "Streams", |it| Cell::Count(it.streams)),
        Column::in_files("log_digest", |it| Cell::Id(it.log_digest.to_string())),
        Column::in_files("heads_digest", |it| Cell::Id(it.heads_digest.to_string())),
        Column::in_tables("Took", |it| Cell::Text(format!("{:.1} s", it.seconds))),
    ],
    none: "",
};

/// Checks every hash and every chain, and that the read model can be built of them.
pub(super) async fn run(remote: RemoteOptions) -> anyhow::Result<()> {
    let (output, client, began) = (remote.output, remote.open()?.client, Instant::now());
    let server = client.server().to_string();
    let node = Arc::new(RemoteLog::new(client));
    let position = node.end().await?;
    let position = position
        .ok_or_else(|| CommandError::new(Exit::NotFound, format!("The ledger of {server} is empty.")))?;
    let past = UpTo::new(Arc::clone(&node) as Arc<dyn EventStore>, position);
    let checked = async {
        let same = chains(&past).await?.same();
        eprintln!("{} events in {} streams: every hash and chain holds", same.events, same.streams);
        projections(&past, None, &std::env::temp_dir()).await?;
        anyhow::Ok(same)
    };
    // In the node's own words, if it has said any.
    let same = checked.await.map_err(|error| node.refusal().map_or(error, anyhow::Error::from))?;
    eprintln!("the node's own read model is compared once it is stopped: `nemo ledger verify --data-dir`");
    let verified = Verified {
        server,
        position,
        events: same.events,
        streams: same.streams,
        log_digest: same.log,
        heads_digest: same.heads,
        seconds: began.elapsed().as_secs_f64(),
    };
    print(&VERIFIED, output, verified)
}
