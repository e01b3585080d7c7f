//! `nemo secrets add-pepper` and `nemo secrets retire-pepper`

use std::path::Path;

use clap::Args;
use nemo_events::PepperId;
use serde::Deserialize;

use super::status::SecretsReply;
use super::{of_disk, status, take_up};
use crate::auth::secrets::change::Change;
use crate::cli::consent::Consent;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::remote::{List, Session};
use crate::cli::render::keys::KEYS;
use crate::cli::render::money;

/// A pepper that goes out of use.
#[derive(Debug, Args)]
pub struct RetireArgs {
    /// The pepper's id, as `nemo secrets status` lists it
    #[arg(value_name = "PEPPER")]
    pub pepper: PepperId,
    /// Retire it though keys need it: they are listed, and are refused from then on until they are rotated
    #[arg(long)]
    pub force: bool,
    /// Whether it is meant.
    #[command(flatten)]
    pub consent: Consent,
}

/// `nemo secrets add-pepper`
pub(super) async fn add(dir: &Path, session: &mut Session) -> Result<(), CommandError> {
    // Asked first, so that no pepper is made for a server that does not know this master key.
    let _: SecretsReply = session.client.get(&["api", "secrets"], &[]).await?;
    let secrets = Change::begin(dir).and_then(Change::add_pepper).map_err(of_disk)?;
    let id = secrets.peppers().current().id.to_string();
    let current =
        |reply: &SecretsReply| reply.secrets.iter().any(|row| row.id == id && row.status == "current");
    take_up::secrets(&session.client, dir, current).await?;
    status::show(&id, session).await?;
    session.screen.say(&format!(
        "{id} is the current pepper. Keys change over as they make calls; `nemo secrets status` shows how many \
         need which. Keep a new copy of {}, apart from the ledger's.",
        dir.display()
    ));
    Ok(())
}

/// `nemo secrets retire-pepper`
pub(super) async fn retire(args: RetireArgs, dir: &Path, session: &mut Session) -> Result<(), CommandError> {
    let id = args.pepper.to_string();
    // Counts as of now: a key that has just been created or rotated is among them.
    let Ledger { position } = session.client.get(&["api", "ledger"], &[]).await?;
    let min_position: Vec<_> = position.map(|at| ("min_position", at.to_string())).into_iter().collect();
    let reply: SecretsReply = session.client.get(&["api", "secrets"], &min_position).await?;
    let known = reply.secrets.iter().find(|row| row.is_pepper() && row.id == id);
    let keys = known.and_then(|row| row.keys).ok_or_else(|| no_such_pepper(&id))?;
    if keys > 0 && !args.force {
        return Err(needed(&id, keys));
    }
    let query = min_position.into_iter().chain([("pepper", id.clone())]).collect();
    session.list(&KEYS, List { path: &["api", "keys"], query, next: "cursor", limit: None }).await?;
    if args.consent.must_ask(&session.screen)? {
        let what = match keys {
            0 => format!("Takes {id} out of use, for good. No key needs it."),
            keys => format!("Takes {id} out of use, for good: {} are refused.", counted(keys)),
        };
        session.screen.confirm(&what)?;
    }
    Change::begin(dir).and_then(|change| change.retire_pepper(&args.pepper)).map_err(of_disk)?;
    let retired =
        |reply: &SecretsReply| reply.secrets.iter().any(|row| row.id == id && row.status == "retired");
    take_up::secrets(&session.client, dir, retired).await?;
    session.screen.say(&format!("{id} is out of use."));
    if keys > 0 {
        session.screen.say("`nemo keys rotate KEY` gives a key that was listed a secret that works again.");
    }
    Ok(())
}

#[derive(Deserialize)]
struct Ledger {
    position: Option<u64>,
}

fn needed(id: &str, keys: u64) -> CommandError {
    let what = format!("{} still need {id}: their secrets could not be checked without it.", counted(keys));
    let next = format!(
        "`nemo keys list --pepper {id}` lists them. A key changes over with its next call; rotate or revoke those \
         that make none, or add --force."
    );
    CommandError::new(Exit::Failed, what).next(next)
}

fn counted(keys: u64) -> String {
    if keys == 1 { "1 key".to_owned() } else { format!("{} keys", money::grouped(keys)) }
}

fn no_such_pepper(id: &str) -> CommandError {
    let next = "`nemo secrets status` lists the peppers that there are.";
    CommandError::new(Exit::NotFound, format!("There is no pepper {id}.")).next(next.to_owned())
}
