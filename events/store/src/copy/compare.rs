//! Whether two stores hold the same events in the same order.

use std::sync::Arc;

use nemo_events::{EventRecord, Position, StreamHead, StreamName};
use tokio::task::JoinSet;

use super::walk::Walk;
use super::{CopyError, CopyJob, Phase, Place, Same, Side, patience};
use crate::{Direction, ReadError};

/// Streams whose heads are asked for at the same time.
const AT_ONCE: usize = 16;

/// Reads both stores from the start and compares every field of every event, in order; then asks the target
/// for the last event of each stream, since what leads there is another way than the log. Ends with the
/// event at `end` in the source, which must be the target's last.
///
/// # Errors
/// [`CopyError`]
pub async fn compare(copy: &CopyJob, end: Position) -> Result<Same, CopyError> {
    let (mut source, mut target) =
        (Walk::new(copy, Side::Source, Some(end)), Walk::new(copy, Side::Target, None));
    while let Some(theirs) = target.next(Phase::Comparing, end).await? {
        one(&mut source, &theirs, Phase::Comparing, end).await?;
    }
    if let Some(missing) = source.next(Phase::Comparing, end).await? {
        let place = Place::of(&missing.event);
        let source = ReadError::Damaged { place: place.to_string(), what: "it is missing".to_owned() };
        return Err(CopyError::Read { side: Side::Target, source });
    }
    heads(copy, target.chains().heads()).await?;
    Ok(target.chains().same())
}

/// Takes the source's next event, which must be this one of the target.
pub(super) async fn one(
    source: &mut Walk<'_>,
    theirs: &EventRecord,
    phase: Phase,
    end: Position,
) -> Result<(), CopyError> {
    match source.next(phase, end).await? {
        None => Err(CopyError::Ahead { target: Place::of(&theirs.event) }),
        Some(ours) if ours.event == theirs.event => Ok(()),
        Some(ours) => Err(CopyError::Differs {
            number: source.chains().events(),
            target: Place::of(&theirs.event),
            source_has: Place::of(&ours.event),
        }),
    }
}

async fn heads(
    copy: &CopyJob,
    heads: impl Iterator<Item = (&StreamName, &StreamHead)>,
) -> Result<(), CopyError> {
    let mut looking = JoinSet::new();
    for (stream, head) in heads {
        if looking.len() >= AT_ONCE {
            joined(looking.join_next().await)?;
        }
        looking.spawn(look(copy.clone(), stream.clone(), *head));
    }
    while !looking.is_empty() {
        joined(looking.join_next().await)?;
    }
    Ok(())
}

fn joined(looked: Option<Result<Result<(), CopyError>, tokio::task::JoinError>>) -> Result<(), CopyError> {
    match looked {
        Some(Ok(found)) => found,
        Some(Err(error)) => {
            let source = ReadError::Unavailable(error.to_string());
            Err(CopyError::Read { side: Side::Target, source })
        }
        None => Ok(()),
    }
}

async fn look(copy: CopyJob, stream: StreamName, head: StreamHead) -> Result<(), CopyError> {
    let target = Arc::clone(&copy.target);
    // From behind it, so that a later event would show.
    let read = || target.read_stream(&stream, head.next_revision(), Direction::Backwards, 1);
    let found = patience::read(copy.patience, read).await;
    let found = found.map_err(|source| CopyError::Read { side: Side::Target, source })?;
    match found.first() {
        Some(record) if record.event.head() == head => Ok(()),
        _ => Err(CopyError::Head { stream }),
    }
}
