//! `nemo secrets master-key-leaked`: one command for a bad day. It replaces the master key at once, signs
//! everybody out, lists what was done with the one that leaked, and on request blocks or rotates the keys that were made with it.
//!
//! Each step is durable before the next. Until the last one is done, `master.toml` says which leak is in hand,
//! so that the same command, given again, goes on instead of replacing the new master key as well.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nemo_events::{KeyId, MasterKeyId, OrgId, Timestamp};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::leaked_keys::{Answer, answer_all};
use super::take_up::{self, TakenUp};
use super::{of_disk, rotate};
use crate::auth::master_keys::Retired;
use crate::auth::secrets::change::{Change, Replacement};
use crate::cli::consent::Consent;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::remote::{RemoteOptions, Session};
use crate::cli::render::{Cell, Column, Rows, Shape, events, money};
use crate::cli::reply::Verbatim;
use crate::cli::screen::Screen;
use crate::cli::values::PastValue;
use crate::clock::{Clock, SystemClock};

/// What to do about a master key that leaked.
#[derive(Debug, Args)]
pub struct LeakedArgs {
    /// Since when it may have been in other hands: a moment such as 2026-11-22T10:00:00Z, or so long ago, such
    /// as 3d
    #[arg(long, value_name = "TIME")]
    pub since: PastValue,
    /// Block every key that was created or rotated with it since then
    #[arg(long, conflicts_with = "rotate_keys")]
    pub block: bool,
    /// Give every key that was created or rotated with it since then a new secret, refuse the earlier ones at
    /// once, and write the new ones to files in this directory, readable by its owner only
    #[arg(long, value_name = "DIR")]
    pub rotate_keys: Option<PathBuf>,
    /// A master key that leaked and was replaced before, named by its id: nothing is replaced now
    #[arg(long, value_name = "ID")]
    pub replaced: Option<MasterKeyId>,
    /// Whether it is meant.
    #[command(flatten)]
    pub consent: Consent,
}

/// An event that a master key caused, and what was done about it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Deed {
    pub(super) recorded_at: Timestamp,
    position: u64,
    #[serde(default)]
    master_key: Option<MasterKeyId>,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    version: u16,
    pub(super) key: Option<KeyId>,
    org: Option<OrgId>,
    data: Box<RawValue>,
    /// What was done about it.
    #[serde(default)]
    pub(super) answer: Option<Answer>,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Deed>,
    next_cursor: Option<u64>,
    looked_at: Option<u64>,
    position: Option<u64>,
}

static DEEDS: Shape<Deed> = Shape {
    columns: &[
        Column::new("recorded_at", "Time", |deed| Cell::Second(deed.recorded_at)),
        Column::in_files("position", |deed| Cell::Count(deed.position)),
        Column::in_files("master_key", |deed| {
            Cell::maybe(deed.master_key.as_ref(), |id| Cell::Id(id.to_string()))
        }),
        Column::new("type", "Event", |deed| Cell::Id(deed.event_type.clone())),
        Column::in_tables("Of", |deed| Cell::maybe(of(deed), Cell::Id)),
        Column::in_files("key", |deed| Cell::maybe(deed.key, |key| Cell::Id(key.to_string()))),
        Column::in_files("org", |deed| Cell::maybe(deed.org, |org| Cell::Id(org.to_string()))),
        Column::in_tables("What", |deed| Cell::Text(what(deed))),
        Column::in_files("data", |deed| Cell::Text(deed.data.get().to_owned())),
        Column::new("answer", "Done about it", |deed| {
            Cell::maybe(deed.answer.as_ref(), |answer| Cell::Text(answer.to_string()))
        }),
    ],
    none: "Nothing was done with it since then.",
};

fn of(deed: &Deed) -> Option<String> {
    deed.key.map(|key| key.to_string()).or_else(|| deed.org.map(|org| org.to_string()))
}

/// Events of orgs are few and short.
fn what(deed: &Deed) -> String {
    events::told(&deed.event_type, deed.version, &deed.data).unwrap_or_else(|| deed.data.get().to_owned())
}

/// `nemo secrets master-key-leaked`
pub(super) async fn leaked(args: LeakedArgs, dir: &Path, remote: RemoteOptions) -> Result<(), CommandError> {
    let mut screen = Screen::of_process();
    let now = SystemClock.now();
    let since = args.since.moment(now);
    let leaked = match &args.replaced {
        Some(id) => vec![replaced_before(id, dir)?],
        None => replace(&args, dir, &remote, &mut screen)?,
    };
    if take_up::master_key(&remote.server, &remote.master_key_file, dir).await? == TakenUp::NotRunning {
        let what = format!(
            "The master key is replaced on disk, but no server answers at {}: what was done with the one that \
             leaked cannot be listed yet.",
            remote.server
        );
        let next = "Start the server, then give the same command again: it goes on here.";
        return Err(CommandError::new(Exit::Unreachable, what).next(next.to_owned()));
    }
    let mut session = remote.open()?;
    sign_everybody_out(&mut session).await?;
    let mut deeds = Vec::new();
    for id in &leaked {
        deeds.extend(deeds_of(id, since, &mut session).await?);
    }
    deeds.sort_by_key(|deed| deed.position);
    let failed = answer_all(&args, &mut deeds, &mut session).await?;
    write(&deeds, &mut session)?;
    if failed > 0 {
        let what = format!("Keys that could not be blocked or rotated: {}.", money::grouped(failed));
        let next = "Give the same command again: what is done already is not done twice.";
        return Err(CommandError::new(Exit::Failed, what).next(next.to_owned()));
    }
    if args.replaced.is_none() {
        Change::begin(dir).and_then(|mut change| change.leak_is_handled()).map_err(of_disk)?;
    }
    say_what_next(&args, since, &leaked, &deeds, &mut session.screen);
    Ok(())
}

/// Whoever had the master key may have made links for himself, or sessions.
async fn sign_everybody_out(session: &mut Session) -> Result<(), CommandError> {
    let path = ["api", "operators", "sign-out"];
    let _: serde_json::Value = session.client.send(Method::POST, &path, &serde_json::json!({})).await?;
    session.screen.say("Everybody was signed out, and no link that was made before leads anywhere.");
    Ok(())
}

/// Replaces the master key, unless that was done already by a command that did not get to its end.
fn replace(
    args: &LeakedArgs,
    dir: &Path,
    remote: &RemoteOptions,
    screen: &mut Screen,
) -> Result<Vec<MasterKeyId>, CommandError> {
    if args.consent.must_ask(screen)? {
        screen.confirm(
            "Replaces the master key and refuses every one before at once: whatever still uses them stops working.",
        )?;
    }
    let mut change = Change::begin(dir).map_err(of_disk)?;
    let in_hand = !change.leak_in_hand().is_empty();
    if in_hand {
        screen.say(
            "The master key was replaced already by an earlier run of this command, which goes on here.",
        );
    }
    if !in_hand || change.is_unfinished() {
        let now = SystemClock.now();
        let how = Replacement { now, end: Retired { valid_until: now, leaked: true } };
        let replaced = change.replace_master_key(how, &remote.master_key_file).map_err(of_disk)?;
        rotate::tell(screen, &replaced, &remote.master_key_file);
    }
    Ok(change.leak_in_hand().to_vec())
}

fn replaced_before(id: &MasterKeyId, dir: &Path) -> Result<MasterKeyId, CommandError> {
    let change = Change::begin(dir).map_err(of_disk)?;
    let earlier = change.secrets().master_keys().earlier();
    let now = SystemClock.now();
    if earlier.iter().any(|key| key.verifier.id() == id && !key.works_at(now)) {
        return Ok(id.clone());
    }
    let what = format!("{id} is no master key that was replaced and is refused.");
    let next = "Leave --replaced out to replace the one in force.";
    Err(CommandError::new(Exit::NotFound, what).next(next.to_owned()))
}

/// Goes through the log from the time on.
async fn deeds_of(
    id: &MasterKeyId,
    since: Timestamp,
    session: &mut Session,
) -> Result<Vec<Deed>, CommandError> {
    let bar = progress(session.screen.interactive);
    let mut deeds = Vec::new();
    let mut cursor = None;
    loop {
        let mut query = vec![("since", since.to_string())];
        query.extend(cursor.map(|at: u64| ("cursor", at.to_string())));
        let page: Page = session.client.get(&["api", "master-keys", id.as_str(), "events"], &query).await?;
        bar.set_length(page.position.unwrap_or_default());
        bar.set_position(page.looked_at.unwrap_or_default());
        deeds.extend(page.events.into_iter().map(|deed| Deed { master_key: Some(id.clone()), ..deed }));
        match page.next_cursor {
            Some(next) if Some(next) != cursor => cursor = Some(next),
            _ => break,
        }
    }
    bar.finish_and_clear();
    Ok(deeds)
}

fn progress(interactive: bool) -> ProgressBar {
    let target = if interactive { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("Looking through the log: {wide_bar} {percent} % ({eta} left)");
    let bar = ProgressBar::with_draw_target(None, target);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

fn write(deeds: &[Deed], session: &mut Session) -> Result<(), CommandError> {
    let text = serde_json::to_string(deeds).map_err(|error| unwritable(&error))?;
    let items: Vec<Verbatim<Deed>> = serde_json::from_str(&text).map_err(|error| unwritable(&error))?;
    let mut rows = Rows::new(&DEEDS, session.output, session.screen.look);
    let text = rows.page(&items) + &rows.end();
    session.screen.data(&text)?;
    if items.is_empty() {
        session.screen.say(DEEDS.none);
    }
    Ok(())
}

fn unwritable(error: &serde_json::Error) -> CommandError {
    CommandError::new(Exit::Failed, format!("What was done cannot be written: {error}."))
}

fn say_what_next(
    args: &LeakedArgs,
    since: Timestamp,
    leaked: &[MasterKeyId],
    deeds: &[Deed],
    screen: &mut Screen,
) {
    screen
        .say("Orgs and limits that were changed stay as they are: look through the list and put them right.");
    let acted = args.block || args.rotate_keys.is_some();
    if !acted && deeds.iter().any(Deed::gave_a_secret_away) {
        for id in leaked {
            screen.say(&format!(
                "To block the keys that were made with {id}: nemo secrets master-key-leaked --replaced {id} --since \
                 {since} --block"
            ));
        }
    }
}

impl Deed {
    /// Whoever did it has a key's full text.
    pub(super) fn gave_a_secret_away(&self) -> bool {
        matches!(self.event_type.as_str(), "KeyCreated" | "KeySecretRotated")
    }
}
