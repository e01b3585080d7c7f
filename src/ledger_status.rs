//! `nemo ledger status`: where the ledger and its read model stand, from the node that serves, or from a
//! stopped directory, which is checked on the way.

use std::path::Path;

use nemo_events::{Position, Timestamp};
use nemo_read_model::ReadModel;
use serde::{Deserialize, Serialize};

use crate::backup::marks::{self, Manifest};
use crate::backup::{directory, print};
use crate::cli::remote::RemoteOptions;
use crate::cli::render::{Cell, Column, Shape, Tone, rows};
use crate::cli::reply::Verbatim;
use crate::cli::{CommandError, StatusArgs};
use crate::read_side::{FILE, Progress, State};

/// Tells where they stand.
///
/// # Errors
/// A node that cannot be reached, a directory that is in use, a ledger that is damaged.
pub async fn run(args: StatusArgs) -> anyhow::Result<()> {
    match args.data_dir {
        Some(dir) => print(&STOPPED, args.remote.output, of_directory(&dir).await?),
        None => Ok(of_node(args.remote).await?),
    }
}

/// What a node says of itself; what is not read here is passed on in JSON.
#[derive(Deserialize)]
struct Serving {
    position: Option<Position>,
    read_model: Progress,
    node: String,
    program: String,
    now: Timestamp,
    running_calls: u64,
}

static SERVING: Shape<Serving> = Shape {
    columns: &[
        Column::new("position", "Position", |it| Cell::maybe(it.position, position)),
        Column::new("read_model", "Read model", |it| state(it.read_model.state)),
        Column::new("read_model_position", "reflects", |it| Cell::maybe(it.read_model.position, position)),
        Column::new("read_model_catch_up_to", "catches up to", |it| {
            Cell::maybe(it.read_model.catch_up_to, position)
        }),
        Column::new("node", "Node", |it| Cell::Id(it.node.clone())),
        Column::new("running_calls", "Running calls", |it| Cell::Count(it.running_calls)),
        Column::new("program", "Program", |it| Cell::Text(it.program.clone())),
        Column::new("now", "Its clock", |it| Cell::Second(it.now)),
    ],
    none: "",
};

/// What a directory holds that nobody serves.
#[derive(Serialize)]
struct Stopped {
    directory: String,
    /// `ledger`, or `backup`.
    is: &'static str,
    position: Option<Position>,
    /// What `backup.json` describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<Manifest>,
    /// The last event that the read model reflects; `null` where there is none.
    read_model_position: Option<Position>,
}

static STOPPED: Shape<Stopped> = Shape {
    columns: &[
        Column::new("directory", "Directory", |it| Cell::Id(it.directory.clone())),
        Column::new("is", "Is a", |it| Cell::Text(it.is.to_owned())),
        Column::new("position", "Position", |it| Cell::maybe(it.position, position)),
        Column::new("read_model_position", "Read model reflects", |it| {
            Cell::maybe(it.read_model_position, position)
        }),
        Column::new("backup_events", "Backup of", |it| {
            Cell::maybe(it.backup.as_ref().map(|backup| backup.events), Cell::Count)
        }),
        Column::new("backup_made_at", "made at", |it| {
            Cell::maybe(it.backup.as_ref().map(|backup| backup.made_at), Cell::Second)
        }),
    ],
    none: "",
};

const fn position(position: Position) -> Cell {
    Cell::Count(position.0)
}

fn state(state: State) -> Cell {
    match state {
        State::Current => Cell::Status("current".to_owned(), Tone::Good),
        State::Opening => Cell::Status("opening".to_owned(), Tone::Warning),
        State::CatchingUp => Cell::Status("catching up".to_owned(), Tone::Warning),
        State::Broken => Cell::Status("broken".to_owned(), Tone::Bad),
        State::Damaged => Cell::Status("damaged".to_owned(), Tone::Bad),
    }
}

async fn of_node(remote: RemoteOptions) -> Result<(), CommandError> {
    let mut session = remote.open()?;
    let reply: Verbatim<Serving> = session.client.get(&["api", "ledger"], &[]).await?;
    let text = rows::alone(&SERVING, &reply.view, reply.json(), session.output, session.screen.look);
    session.screen.data(&text)
}

async fn of_directory(dir: &Path) -> anyhow::Result<Stopped> {
    marks::refuse_unfinished(dir)?;
    marks::require_ledger(dir)?;
    let backup = Manifest::read(dir)?;
    let events = directory::open(dir).await?;
    let head = events.head().await;
    // Under the ledger's lock: the read model has one writer.
    let path = dir.join(FILE);
    let read_model = if path.exists() { Some(ReadModel::open(&path)) } else { None };
    events.close().await;
    let read_model_position = read_model.transpose()?.and_then(|opened| opened.model.position());
    let is = if backup.is_some() { "backup" } else { "ledger" };
    Ok(Stopped { directory: dir.display().to_string(), is, position: head?, backup, read_model_position })
}
