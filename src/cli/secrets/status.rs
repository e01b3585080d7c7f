//! `nemo secrets status`: what is in force.

use nemo_events::Timestamp;
use serde::Deserialize;

use crate::cli::exit::CommandError;
use crate::cli::output::Output;
use crate::cli::remote::Session;
use crate::cli::render::{Cell, Column, Rows, Shape, Tone, json};
use crate::cli::reply::Verbatim;

/// Everything that the server tells of its secrets.
#[derive(Debug, Deserialize)]
pub(super) struct SecretsReply {
    /// Master keys and peppers, oldest first.
    pub(super) secrets: Vec<SecretRow>,
    /// Why the files are not in force as they are.
    #[serde(default)]
    pub(super) trouble: Option<String>,
}

/// A master key or a pepper.
#[derive(Debug, Deserialize)]
pub(super) struct SecretRow {
    /// Which of the two.
    pub(super) kind: String,
    /// Its public id.
    pub(super) id: String,
    /// Current, overlapping or retired.
    pub(super) status: String,
    /// When the ledger first heard of it.
    #[serde(default)]
    pub(super) since: Option<Timestamp>,
    /// From then on it is refused.
    #[serde(default)]
    pub(super) valid_until: Option<Timestamp>,
    /// It was given away.
    #[serde(default)]
    pub(super) leaked: bool,
    /// Keys that need it.
    #[serde(default)]
    pub(super) keys: Option<u64>,
}

impl SecretRow {
    /// Whether it is a pepper.
    pub(super) fn is_pepper(&self) -> bool {
        self.kind == "pepper"
    }
}

/// A row for each secret.
static SECRETS: Shape<SecretRow> = Shape {
    columns: &[
        Column::in_files("kind", |row| Cell::Id(row.kind.clone())),
        Column::in_tables("Kind", |row| Cell::Text(row.kind.replace('_', " "))),
        Column::new("id", "Id", |row| Cell::Id(row.id.clone())),
        Column::new("status", "Status", standing),
        Column::new("since", "Since", |row| Cell::maybe(row.since, Cell::Second)),
        Column::new("valid_until", "Until", |row| Cell::maybe(row.valid_until, Cell::Second)),
        Column::in_files("leaked", |row| Cell::Id(row.leaked.to_string())),
        Column::new("keys", "Keys that need it", |row| Cell::maybe(row.keys, Cell::Count)),
    ],
    none: "No secrets.",
};

fn standing(row: &SecretRow) -> Cell {
    let tone = match row.status.as_str() {
        "current" => Tone::Good,
        "retired" => Tone::Ended,
        _ => Tone::Warning,
    };
    let leaked = if row.leaked { ", leaked" } else { "" };
    Cell::Status(format!("{}{leaked}", row.status), tone)
}

/// `nemo secrets status`
pub(super) async fn status(session: &mut Session) -> Result<(), CommandError> {
    let reply: Verbatim<VerbatimRows> = session.client.get(&["api", "secrets"], &[]).await?;
    let text = match session.output {
        Output::Json | Output::Jsonl => json::lines(std::iter::once(reply.json())),
        Output::Table | Output::Csv => {
            let mut rows = Rows::new(&SECRETS, session.output, session.screen.look);
            rows.page(&reply.view.secrets) + &rows.end()
        }
    };
    session.screen.data(&text)?;
    if let Some(trouble) = &reply.view.trouble {
        session.screen.say(&format!("warning: the files on disk are not in force: {trouble}"));
    }
    Ok(())
}

/// Writes the row of one secret.
pub(super) async fn show(id: &str, session: &mut Session) -> Result<(), CommandError> {
    let reply: VerbatimRows = session.client.get(&["api", "secrets"], &[]).await?;
    let found: Vec<_> = reply.secrets.into_iter().filter(|row| row.view.id == id).collect();
    let mut rows = Rows::new(&SECRETS, session.output, session.screen.look);
    let text = rows.page(&found) + &rows.end();
    session.screen.data(&text)
}

#[derive(Deserialize)]
struct VerbatimRows {
    secrets: Vec<Verbatim<SecretRow>>,
    #[serde(default)]
    trouble: Option<String>,
}
