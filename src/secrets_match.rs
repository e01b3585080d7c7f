//! Whether the secrets at hand are those that the ledger was written with. With others every key would be
//! refused, or worse, new ones would be digested with a pepper that is lost at the next restore.

use nemo_events::gateway::{MasterKeyInstalled, PepperAdded};
use nemo_events::{Digest, GatewayEvent, MasterKeyId, PepperId};

use crate::auth::secrets::Fingerprints;

/// The secrets do not fit the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsMismatch {
    /// The same name with another content.
    #[error(
        "the {what} {name} is not the one that this ledger was written with: restore the secrets from their backup"
    )]
    Other {
        /// Pepper or master key.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The one that the ledger used last is not there.
    #[error(
        "the {what} {name}, which this ledger was written with, is missing: restore the secrets from their backup"
    )]
    Missing {
        /// Pepper or master key.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

/// Compares what the ledger knows with what is at hand. Returns the events that introduce what is new.
///
/// # Errors
/// [`SecretsMismatch`]
pub fn compare(known: &[GatewayEvent], ours: Fingerprints) -> Result<Vec<GatewayEvent>, SecretsMismatch> {
    let peppers: Vec<(&PepperId, Digest)> = known.iter().filter_map(pepper).collect();
    let master_keys: Vec<(&MasterKeyId, Digest)> = known.iter().filter_map(master_key).collect();
    let new_peppers = new("pepper", &peppers, ours.peppers)?;
    let new_keys = new("master key", &master_keys, ours.master_keys)?;
    let replaces = master_keys.last().map(|(id, _)| (*id).clone());
    let added =
        new_peppers.into_iter().map(|(pepper, fingerprint)| PepperAdded { pepper, fingerprint }.into());
    let installed = new_keys.into_iter().map(|(master_key, fingerprint)| {
        MasterKeyInstalled { master_key, fingerprint, replaces: replaces.clone() }.into()
    });
    Ok(added.chain(installed).collect())
}

fn pepper(event: &GatewayEvent) -> Option<(&PepperId, Digest)> {
    if let GatewayEvent::PepperAdded(e) = event { Some((&e.pepper, e.fingerprint)) } else { None }
}

fn master_key(event: &GatewayEvent) -> Option<(&MasterKeyId, Digest)> {
    if let GatewayEvent::MasterKeyInstalled(e) = event { Some((&e.master_key, e.fingerprint)) } else { None }
}

/// Those of `ours` that the ledger does not know; the last one that it knows must be among them.
fn new<T: PartialEq + std::fmt::Display>(
    what: &'static str,
    known: &[(&T, Digest)],
    ours: Vec<(T, Digest)>,
) -> Result<Vec<(T, Digest)>, SecretsMismatch> {
    if let Some((last, _)) = known.last()
        && !ours.iter().any(|(name, _)| name == *last)
    {
        return Err(SecretsMismatch::Missing { what, name: last.to_string() });
    }
    let known_as =
        |name: &T| known.iter().find(|(known, _)| *known == name).map(|(_, fingerprint)| *fingerprint);
    if let Some((name, _)) =
        ours.iter().find(|(name, print)| known_as(name).is_some_and(|known| known != *print))
    {
        return Err(SecretsMismatch::Other { what, name: name.to_string() });
    }
    Ok(ours.into_iter().filter(|(name, _)| known_as(name).is_none()).collect())
}
