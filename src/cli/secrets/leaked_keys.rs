//! Keys that somebody with a leaked master key created or rotated, and so knows: blocked, or given new secrets.
//!
//! Doing it again does nothing twice: a key that is blocked stays so, and one whose new secret is in its file
//! was rotated.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nemo_events::KeyId;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::leaked::{Deed, LeakedArgs};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::remote::Session;
use crate::cli::secret::{NewSecret, SecretFile};

const REASON: &str = "made or rotated with a master key that leaked";

/// What was done about a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// It is blocked.
    Blocked,
    /// It has a new secret, in this file.
    Rotated(String),
    /// It was revoked already.
    Revoked,
    /// Nothing, because of this.
    Failed(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked => f.write_str("blocked"),
            Self::Rotated(file) => write!(f, "rotated, secret in {file}"),
            Self::Revoked => f.write_str("revoked already"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// Does what the arguments ask about every key whose secret was given away. Returns how many were left.
pub(super) async fn answer_all(
    args: &LeakedArgs,
    deeds: &mut [Deed],
    session: &mut Session,
) -> Result<u64, CommandError> {
    if !args.block && args.rotate_keys.is_none() {
        return Ok(0);
    }
    if let Some(dir) = &args.rotate_keys {
        make_directory(dir)?;
    }
    let keys: BTreeSet<KeyId> =
        deeds.iter().filter(|deed| deed.gave_a_secret_away()).filter_map(|deed| deed.key).collect();
    let mut answers = BTreeMap::new();
    for key in keys {
        let done = match &args.rotate_keys {
            Some(dir) => rotate(key, dir, session).await,
            None => block(key, session).await,
        };
        answers.insert(key, done.unwrap_or_else(|error| without(&error)));
    }
    for deed in deeds.iter_mut().filter(|deed| deed.gave_a_secret_away()) {
        deed.answer = deed.key.and_then(|key| answers.get(&key).cloned());
    }
    let failed = answers.values().filter(|answer| matches!(answer, Answer::Failed(_))).count();
    Ok(u64::try_from(failed).unwrap_or(u64::MAX))
}

fn without(error: &CommandError) -> Answer {
    if error.code() == Some("key_revoked") { Answer::Revoked } else { Answer::Failed(error.to_string()) }
}

async fn block(key: KeyId, session: &mut Session) -> Result<Answer, CommandError> {
    let path = ["api", "keys", &key.to_string(), "block"];
    let _: Box<RawValue> = session.client.send(Method::POST, &path, &json!({ "reason": REASON })).await?;
    Ok(Answer::Blocked)
}

#[derive(Deserialize)]
struct Rotated {
    secret: NewSecret,
}

/// The file is there before the secret is. One that is empty is left of a run that did not get any further.
async fn rotate(key: KeyId, dir: &Path, session: &mut Session) -> Result<Answer, CommandError> {
    let file = dir.join(key.to_string());
    if fs::metadata(&file).is_ok_and(|kept| kept.len() > 0) {
        return Ok(rotated(&file));
    }
    if file.exists() {
        fs::remove_file(&file).map_err(|error| unusable(&file, &error))?;
    }
    let kept = SecretFile::create(&file)?;
    let path = ["api", "keys", &key.to_string(), "rotate"];
    let Rotated { secret } = session.client.send(Method::POST, &path, &json!({ "leaked": true })).await?;
    kept.keep(&secret)?;
    Ok(rotated(&file))
}

fn rotated(file: &Path) -> Answer {
    Answer::Rotated(file.display().to_string())
}

fn make_directory(dir: &PathBuf) -> Result<(), CommandError> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(dir).map_err(|error| unusable(dir, &error))
}

fn unusable(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::new(Exit::Failed, format!("Cannot use {}: {error}.", path.display()))
}
