//! `nemo reload`: has a server read its configuration again, and tells what changed.

use clap::Args;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::exit::{CommandError, Exit};
use crate::cli::output::Output;
use crate::cli::remote::{RemoteOptions, Session};
use crate::cli::render::{Cell, Column, Rows, Shape};
use crate::cli::reply::Verbatim;

/// Read the configuration again: providers, their keys, prices and [calls]
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// Where and how.
    #[command(flatten)]
    pub remote: RemoteOptions,
}

/// What changed, as the server tells it.
#[derive(Deserialize)]
struct Reloaded {
    providers: Changes,
    prices: Changes,
    calls: Vec<String>,
    #[serde(default)]
    webhooks: Vec<String>,
    needs_restart: Vec<String>,
    notices: Vec<String>,
}

#[derive(Deserialize)]
struct Changes {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

/// One change, as a row.
#[derive(Clone, Serialize, Deserialize)]
struct Change {
    what: String,
    name: String,
    change: String,
}

static CHANGES: Shape<Change> = Shape {
    columns: &[
        Column::new("what", "What", |row| Cell::Text(row.what.clone())),
        Column::new("name", "Name", |row| Cell::Text(row.name.clone())),
        Column::new("change", "Change", |row| Cell::Text(row.change.clone())),
    ],
    none: "Nothing changed.",
};

/// Has the server read its configuration again.
///
/// # Errors
/// Why it did not work; then nothing changed.
pub async fn run(session: &mut Session) -> Result<(), CommandError> {
    let reply: Verbatim<Reloaded> = session.client.send(Method::POST, &["api", "reload"], &json!({})).await?;
    let changes = reply.view.changes();
    match session.output {
        Output::Json | Output::Jsonl => session.screen.data(&format!("{}\n", reply.json()))?,
        Output::Table | Output::Csv => {
            let text = json!(changes).to_string();
            let items: Vec<Verbatim<Change>> = serde_json::from_str(&text).map_err(|error| {
                CommandError::new(Exit::Failed, format!("The changes cannot be shown: {error}."))
            })?;
            let mut rows = Rows::new(&CHANGES, session.output, session.screen.look);
            let page = rows.page(&items);
            session.screen.data(&page)?;
            session.screen.data(&rows.end())?;
        }
    }
    if changes.is_empty() {
        session.screen.say(CHANGES.none);
    }
    for key in &reply.view.needs_restart {
        session.screen.say(&format!("{key} differs from the start and takes effect at the next one."));
    }
    for notice in &reply.view.notices {
        session.screen.say(&format!("Note: {notice}"));
    }
    Ok(())
}

impl Reloaded {
    fn changes(&self) -> Vec<Change> {
        let Self { providers, prices, calls, webhooks, .. } = self;
        let rows = |what: &str, change: &str, names: &[String]| -> Vec<Change> {
            let row = |name: &String| Change {
                what: what.to_owned(),
                name: name.clone(),
                change: change.to_owned(),
            };
            names.iter().map(row).collect()
        };
        let of = |what, changes: &Changes| {
            let Changes { added, removed, changed } = changes;
            [rows(what, "added", added), rows(what, "removed", removed), rows(what, "changed", changed)]
                .concat()
        };
        [
            of("provider", providers),
            of("price", prices),
            rows("setting", "changed", calls),
            rows("webhook", "other secrets", webhooks),
        ]
        .concat()
    }
}
