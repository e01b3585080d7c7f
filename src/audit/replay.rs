//! A key's state at a moment, beside what it is now.

use nemo_events::{Digest, KeyId, Position, Revision, Timestamp};
use nemo_projections::CorruptLog;
use nemo_projections::key::Status;
use nemo_projections::replay::{After, Change, Mark, Then, changes, marks};

use crate::ledger::{ExecuteError, KeyAccount, KeyThen, Ledger, Moment};

/// A key as it was, and what has come since.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The key as it was, but for which of its calls had ended.
    pub account: KeyAccount,
    /// The last event that the state reflects.
    pub revision: Revision,
    /// When that was recorded.
    pub recorded_at: Timestamp,
    /// Where it is in the ledger.
    pub position: Position,
    /// Its hash.
    pub hash: Digest,
    /// The moment at which windows and rates are looked at: that of the event, the time that was asked for, or now.
    pub as_of: Timestamp,
    /// What the event changed. Empty where no moment was asked for.
    pub changes: Vec<Change>,
    /// What was seen for the first time in the key's whole life, later than this too.
    pub marks: Vec<Mark>,
    /// What came after it.
    pub after: After,
    /// The key's last event.
    pub head: Revision,
    /// Whether the key may be used now.
    pub status_now: Status,
}

/// Why there is no state to show.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such key.
    #[error("there is no such key")]
    NoSuchKey,
    /// The key had no event then.
    #[error("the key was created later")]
    BeforeCreation,
    /// The key has no event of that revision yet.
    #[error("the key's last event is {0}")]
    BeyondHead(Revision),
    /// The ledger did not answer, or not with anything that can be folded.
    #[error(transparent)]
    Ledger(#[from] ExecuteError),
}

impl From<CorruptLog> for ReplayError {
    fn from(corrupt: CorruptLog) -> Self {
        Self::Ledger(ExecuteError::Damaged(corrupt.to_string()))
    }
}

/// A key at a moment; as it is now where none is named.
///
/// # Errors
/// See [`ReplayError`].
pub async fn replay(ledger: &Ledger, key: KeyId, moment: Option<Moment>) -> Result<Replay, ReplayError> {
    let now = ledger.look(key, |account, now| (account.without_ended_calls(), now)).await?;
    let (account, clock) = now.answer;
    let status_now = account.key.as_ref().ok_or(ReplayError::NoSuchKey)?.status;
    let head = now.revision.ok_or(ReplayError::NoSuchKey)?;
    let (then, as_of) = match moment {
        None => (present(ledger, key, head, account.clone()).await?, clock),
        Some(moment) => {
            let then = at(ledger, key, moment, head).await?;
            let as_of = if let Moment::Time(time) = moment { time.min(clock) } else { then.recorded_at };
            (then, as_of)
        }
    };
    let KeyThen { account: then, before, revision, recorded_at, position, hash } = then;
    let changes = match (view(&then), moment) {
        (Some(is), Some(_)) => changes(before.as_ref().and_then(view), is),
        (None, _) | (_, None) => Vec::new(),
    };
    // The log may have grown since the account was looked at; what is now is what was looked at then.
    let head = head.max(revision);
    let after = After::between(&then.attribution, revision, &account.attribution)?;
    let marks = marks(&account.attribution);
    Ok(Replay {
        account: then,
        revision,
        recorded_at,
        position,
        hash,
        as_of,
        changes,
        marks,
        after,
        head,
        status_now,
    })
}

async fn at(ledger: &Ledger, key: KeyId, moment: Moment, head: Revision) -> Result<KeyThen, ReplayError> {
    let revision = match moment {
        Moment::Revision(revision) if revision > head => return Err(ReplayError::BeyondHead(head)),
        Moment::Revision(revision) => revision,
        Moment::Position(_) | Moment::Time(_) => {
            let last = ledger.revision_at(key, moment, head).await?;
            last.ok_or(ReplayError::BeforeCreation)?
        }
    };
    let then = ledger.key_at(key, revision).await?;
    then.ok_or_else(|| ExecuteError::Unavailable("the store is behind what it has told".to_owned()).into())
}

/// What is in memory already need not be folded again.
async fn present(
    ledger: &Ledger,
    key: KeyId,
    head: Revision,
    account: KeyAccount,
) -> Result<KeyThen, ReplayError> {
    let record = ledger.event(key, head).await?;
    let gone = || ExecuteError::Unavailable("the store is behind what it has told".to_owned());
    let record = record.ok_or_else(gone)?;
    let (recorded_at, hash) = (record.event.recorded_at, record.event.hash);
    Ok(KeyThen { account, before: None, revision: head, recorded_at, position: record.position, hash })
}

fn view(account: &KeyAccount) -> Option<Then<'_>> {
    account.key.as_ref().map(|key| Then { key, attribution: &account.attribution })
}
