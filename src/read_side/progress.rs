//! Where the read model stands, for those who wait for it and for those who report it.

use std::time::Duration;

use nemo_events::Position;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use super::Unread;

/// What the read model is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReadModelState)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is being opened.
    Opening,
    /// It reads the log that was there when it was opened. Answers are old, and say as of when.
    CatchingUp,
    /// It follows the log.
    Current,
    /// It cannot go on; it is opened again soon.
    Broken,
    /// Its file is damaged; it is built anew soon.
    Damaged,
}

impl State {
    /// Whether it can be asked.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::CatchingUp | Self::Current)
    }

    /// Whether somebody must open it again before it makes any progress.
    pub(super) const fn is_stuck(self) -> bool {
        matches!(self, Self::Broken | Self::Damaged)
    }
}

/// Where the read model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReadModelProgress)]
pub struct Progress {
    /// What it is doing.
    pub state: State,
    /// The last event that it reflects.
    pub position: Option<Position>,
    /// The log's end when it was opened: how far catching up goes.
    pub catch_up_to: Option<Position>,
}

/// The one place where progress is written down and waited for.
pub(super) struct Board {
    progress: watch::Sender<Progress>,
}

impl Board {
    pub(super) fn new() -> Self {
        let progress = Progress { state: State::Opening, position: None, catch_up_to: None };
        Self { progress: watch::Sender::new(progress) }
    }

    pub(super) fn now(&self) -> Progress {
        *self.progress.borrow()
    }

    pub(super) fn opening(&self) {
        self.progress.send_replace(Progress { state: State::Opening, position: None, catch_up_to: None });
    }

    /// It cannot go on: `Broken` or `Damaged`.
    pub(super) fn stuck(&self, state: State) {
        self.progress.send_modify(|progress| progress.state = state);
    }

    /// Opened at `position`, with the log ending at `catch_up_to`.
    pub(super) fn opened(&self, position: Option<Position>, catch_up_to: Option<Position>) {
        let state = if position >= catch_up_to { State::Current } else { State::CatchingUp };
        self.progress.send_replace(Progress { state, position, catch_up_to });
    }

    /// Got to `position`. Returns whether that was the end of catching up.
    pub(super) fn moved(&self, position: Option<Position>) -> bool {
        let mut arrived = false;
        self.progress.send_modify(|progress| {
            progress.position = position;
            arrived = progress.state == State::CatchingUp && position >= progress.catch_up_to;
            if arrived {
                progress.state = State::Current;
            }
        });
        arrived
    }

    /// Waits for an opening under way, and says whether it can be asked.
    pub(super) async fn opened_within(&self, patience: Duration) -> bool {
        let mut progress = self.progress.subscribe();
        let opened = progress.wait_for(|progress| progress.state != State::Opening);
        let opened = tokio::time::timeout(patience, opened).await;
        opened.is_ok_and(|progress| progress.is_ok_and(|progress| progress.state.is_readable()))
    }

    /// Waits until `wanted` is reflected; not for what is broken.
    pub(super) async fn reach(&self, wanted: Position) -> Result<(), Unread> {
        let mut progress = self.progress.subscribe();
        let reached = |progress: &Progress| progress.state.is_readable() && progress.position >= Some(wanted);
        let settled = progress.wait_for(|progress| reached(progress) || progress.state.is_stuck()).await;
        // The sender lives as long as the board, so there is always an answer.
        if settled.is_ok_and(|progress| reached(&progress)) { Ok(()) } else { Err(Unread::Unavailable) }
    }

    /// Waits until everything that was in the log at the opening is reflected, however long that takes.
    pub(super) async fn caught_up(&self) {
        let mut progress = self.progress.subscribe();
        // The sender lives as long as the board, so this waits for nothing else.
        let _ = progress.wait_for(|progress| progress.state == State::Current).await;
    }

    /// Waits until somebody finds that it cannot go on.
    pub(super) async fn got_stuck(&self) {
        let mut progress = self.progress.subscribe();
        let _ = progress.wait_for(|progress| progress.state.is_stuck()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(position: u64) -> Option<Position> {
        Some(Position(position))
    }

    #[test]
    fn catching_up_ends_at_the_position_where_the_log_ended() {
        let board = Board::new();
        assert!(!board.now().state.is_readable());
        board.opened(None, at(7));
        assert_eq!(board.now().state, State::CatchingUp);
        assert!(!board.moved(at(6)));
        assert!(board.moved(at(8)), "said once");
        assert!(!board.moved(at(9)));
        assert_eq!(board.now().state, State::Current);
    }

    #[test]
    fn an_empty_log_is_caught_up_with_at_once() {
        let board = Board::new();
        board.opened(None, None);
        assert_eq!(board.now().state, State::Current);
    }

    #[tokio::test]
    async fn nobody_waits_for_what_is_broken() {
        let board = Board::new();
        board.opened(at(3), at(3));
        assert!(board.reach(Position(3)).await.is_ok());
        board.stuck(State::Broken);
        assert!(matches!(board.reach(Position(3)).await, Err(Unread::Unavailable)));
    }
}
