//! `nemo keys replay`: a key as it was behind one of its events.

use std::str::FromStr;

use anyhow::Context as _;
use clap::Args;
use nemo_events::{Position, Revision, Timestamp};

use super::KeyArg;
use crate::cli::exit::CommandError;
use crate::cli::output::Output;
use crate::cli::remote::Session;
use crate::cli::render::keys::KEYS;
use crate::cli::render::replay;
use crate::cli::reply::Verbatim;
use crate::cli::values::moment;
use crate::cli::views::{KeyRow, KeyThen};

/// Which moment of which key.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Whose.
    #[command(flatten)]
    pub key: KeyArg,
    /// Behind the event @N, as of a time such as 2026-11-22T06:00:00Z, or as of position:N of the ledger; now without it
    #[arg(long, value_name = "MOMENT")]
    pub at: Option<At>,
}

/// A moment as it stands on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// `@12`
    Revision(Revision),
    /// `position:345`
    Position(Position),
    /// `2026-11-22` or `2026-11-22T06:00:00Z`
    Time(Timestamp),
}

impl FromStr for At {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        const WHAT: &str = "not a moment such as @12, position:345 or 2026-11-22T06:00:00Z";
        if let Some(revision) = text.strip_prefix('@') {
            return revision.parse().map(|revision| Self::Revision(Revision(revision))).context(WHAT);
        }
        if let Some(position) = text.strip_prefix("position:") {
            return position.parse().map(|position| Self::Position(Position(position))).context(WHAT);
        }
        moment(text).map(Self::Time).context(WHAT)
    }
}

impl At {
    fn parameter(self) -> (&'static str, String) {
        match self {
            Self::Revision(Revision(revision)) => ("revision", revision.to_string()),
            Self::Position(Position(position)) => ("position", position.to_string()),
            Self::Time(time) => ("time", time.to_string()),
        }
    }
}

/// Runs it.
pub(super) async fn replay(args: &ReplayArgs, session: &mut Session) -> Result<(), CommandError> {
    let (key, query) = (args.key.text(), args.at.map(At::parameter).into_iter().collect::<Vec<_>>());
    let reply: Verbatim<KeyThen> = session.client.get(&["api", "keys", &key, "state"], &query).await?;
    match session.output {
        Output::Table => {
            let page = replay::page(&reply.view, session.screen.look);
            session.screen.data(&page)
        }
        Output::Json | Output::Jsonl | Output::Csv => {
            session.row(&KEYS, &KeyRow::from(&reply.view.key), reply.json())
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;

    #[test]
    fn a_moment_is_a_revision_a_position_or_a_time() {
        assert_eq!("@12".parse::<At>().unwrap().parameter(), ("revision", "12".to_owned()));
        assert_eq!("position:7".parse::<At>().unwrap().parameter(), ("position", "7".to_owned()));
        let midnight = "2026-11-22".parse::<At>().unwrap().parameter();
        assert_eq!(midnight, ("time", "2026-11-22T00:00:00.000000Z".to_owned()));
        for wrong in ["12", "@", "@-1", "position:x", "yesterday", ""] {
            assert!(wrong.parse::<At>().is_err(), "{wrong}");
        }
    }
}
