//! `nemo secrets rotate-master-key`

use std::path::Path;

use clap::Args;
use nemo_events::{MasterKeyId, Timestamp};
use serde::{Deserialize, Serialize};

use super::of_disk;
use super::take_up::{self, TakenUp};
use crate::auth::master_keys::Retired;
use crate::auth::secrets::change::{Change, Replaced, Replacement};
use crate::cli::consent::Consent;
use crate::cli::exit::CommandError;
use crate::cli::remote::RemoteOptions;
use crate::cli::render::{Cell, Column, Shape, rows, time};
use crate::cli::screen::Screen;
use crate::cli::values::Span;
use crate::clock::{Clock, SystemClock};

/// A new master key. It is written to the file of --master-key-file and printed nowhere.
#[derive(Debug, Args)]
pub struct RotateMasterKeyArgs {
    /// For how long the master key before still works, such as 24h, or 0 for not at all
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    pub overlap: Span,
    /// Whether it is meant.
    #[command(flatten)]
    pub consent: Consent,
}

/// What became of the master key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    master_key: MasterKeyId,
    file: String,
    replaces: Vec<MasterKeyId>,
    valid_until: Option<Timestamp>,
    server: String,
}

static OUTCOME: Shape<Outcome> = Shape {
    columns: &[
        Column::new("master_key", "Master key", |row| Cell::Id(row.master_key.to_string())),
        Column::new("file", "Written to", |row| Cell::Id(row.file.clone())),
        Column::new("replaces", "Replaces", |row| Cell::Id(ids(&row.replaces))),
        Column::new("valid_until", "Which works until", |row| Cell::maybe(row.valid_until, Cell::Second)),
        Column::new("server", "Server", |row| Cell::Text(row.server.replace('_', " "))),
    ],
    none: "",
};

/// `nemo secrets rotate-master-key`
pub(super) async fn rotate(
    args: RotateMasterKeyArgs,
    dir: &Path,
    remote: RemoteOptions,
) -> Result<(), CommandError> {
    let mut screen = Screen::of_process();
    if args.overlap.secs == 0 && args.consent.must_ask(&screen)? {
        screen.confirm(
            "Replaces the master key and refuses the one before at once: whatever still uses it stops working.",
        )?;
    }
    let now = SystemClock.now();
    let end = Retired { valid_until: now.plus_secs(args.overlap.secs.into()), leaked: false };
    let replaced = replace(dir, &remote, Replacement { now, end })?;
    tell(&mut screen, &replaced, &remote.master_key_file);
    let taken_up = take_up::master_key(&remote.server, &remote.master_key_file, dir).await?;
    if taken_up == TakenUp::NotRunning {
        screen
            .say(&format!("No server answers at {}: it takes the new key up when it starts.", remote.server));
    }
    let outcome = Outcome {
        master_key: replaced.master_key,
        file: remote.master_key_file.display().to_string(),
        valid_until: replaced.before.iter().map(|(_, end)| end.valid_until).max(),
        replaces: replaced.before.into_iter().map(|(id, _)| id).collect(),
        server: taken_up.as_str().to_owned(),
    };
    let json = serde_json::to_string(&outcome).unwrap_or_default();
    screen.data(&rows::alone(&OUTCOME, &outcome, &json, remote.output, screen.look))
}

/// Replaces the master key on disk.
pub(super) fn replace(
    dir: &Path,
    remote: &RemoteOptions,
    how: Replacement,
) -> Result<Replaced, CommandError> {
    let mut change = Change::begin(dir).map_err(of_disk)?;
    change.replace_master_key(how, &remote.master_key_file).map_err(of_disk)
}

/// Says what was done.
pub(super) fn tell(screen: &mut Screen, replaced: &Replaced, file: &Path) {
    if replaced.resumed {
        screen.say("A rotation that was interrupted is finished; no other key was made.");
    }
    screen.say(&format!(
        "The new master key {} is in {}, readable by its owner only. Move it to a safe place.",
        replaced.master_key,
        file.display()
    ));
    for (id, end) in &replaced.before {
        screen.say(&format!(
            "The master key {id} is refused from {} on.",
            time::to_the_second(end.valid_until)
        ));
    }
}

pub(super) fn ids(ids: &[MasterKeyId]) -> String {
    ids.iter().map(MasterKeyId::as_str).collect::<Vec<_>>().join(", ")
}
