//! Reading a stream from its start.

use nemo_events::{EventRecord, Position, StreamHead, StreamName};
use nemo_projections::At;
use nemo_store::{Direction, MAX_PAGE};

use crate::ledger::Core;
use crate::ledger::command::ExecuteError;
use crate::ledger::fold::Fold;

/// A stream as it was read: all of it durable.
pub(super) struct Read<F: Fold> {
    pub(super) state: F::State,
    pub(super) head: StreamHead,
    pub(super) position: Option<Position>,
}

/// Reads a whole stream, checks its chain and folds it.
pub(super) async fn read<F: Fold>(core: &Core, stream: &StreamName) -> Result<Read<F>, ExecuteError> {
    let mut read = Read::<F> { state: F::State::default(), head: StreamHead::EMPTY, position: None };
    loop {
        let from = read.head.next_revision();
        let page = core.store.read_stream(stream, from, Direction::Forwards, MAX_PAGE).await;
        let page = page?;
        for record in &page {
            fold(&mut read, record).map_err(|error| {
                ExecuteError::Damaged(format!("{stream} {}: {error}", record.event.revision))
            })?;
        }
        if page.is_empty() {
            return Ok(read);
        }
    }
}

fn fold<F: Fold>(read: &mut Read<F>, record: &EventRecord) -> Result<(), String> {
    record.event.follows(&read.head).map_err(|e| e.to_string())?;
    evolve::<F>(&mut read.state, record)?;
    read.head = record.event.head();
    read.position = Some(record.position);
    Ok(())
}

/// Folds one stored event. After an error the state may have taken a part of it.
pub(super) fn evolve<F: Fold>(state: &mut F::State, record: &EventRecord) -> Result<(), String> {
    let event = &record.event;
    let decoded = F::decode(&event.event_type, event.version, &event.data).map_err(|e| e.to_string())?;
    let at = At { revision: event.revision, time: event.recorded_at };
    F::evolve(state, &decoded, at).map_err(|e| e.to_string())
}
