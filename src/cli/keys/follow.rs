//! `nemo keys timeline --follow`: what there is, then each new event as it comes, until somebody has seen
//! enough. A server that goes away is waited for; the revision says where to go on, so nothing is told twice
//! and nothing is left out.

use std::time::Duration;

use crate::cli::exit::{CommandError, Exit};
use crate::cli::output::Output;
use crate::cli::remote::{Place, Session};
use crate::cli::render::Rows;
use crate::cli::render::events::{EVENTS, Event};

use super::TimelineArgs;
use super::people::People;
use super::read::events_of;

/// Between two looks for new events.
const PAUSE: Duration = Duration::from_millis(500);
/// The same while the server cannot be reached; it doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// The most events of one answer.
const PAGE: u64 = 200;

/// Tells events until Ctrl-C, or until as many as were wanted have come.
pub(super) async fn follow(args: &TimelineArgs, session: &mut Session) -> Result<(), CommandError> {
    if session.output == Output::Json {
        let what = "What goes on without an end is no JSON document.";
        return Err(
            CommandError::usage(what).next("Use --output jsonl: a document for each event.".to_owned())
        );
    }
    let mut rows = Rows::growing(&EVENTS, session.output, session.screen.look);
    tokio::select! {
        ended = tell(args, session, &mut rows) => ended,
        // A signal that cannot be heard ends the process by itself.
        Ok(()) = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn tell(
    args: &TimelineArgs,
    session: &mut Session,
    rows: &mut Rows<Event>,
) -> Result<(), CommandError> {
    let key = args.key.text();
    let path = ["api", "keys", key.as_str(), "events"];
    let (mut next, mut wanted) = (args.from.map_or(0, |from| from.0), args.limit.unwrap_or(u64::MAX));
    let (mut server, people) = (Server::Unseen, People::of(session).await);
    while wanted > 0 {
        let place = Place::Revision(next);
        let page = session.page::<Event>(&events_of(&path, args), Some(&place), wanted.min(PAGE)).await;
        let items = match page {
            Ok(mut page) => {
                page.items.iter_mut().for_each(|event| people.tell(&mut event.view));
                page.items
            }
            Err(error) => {
                let pause = server.lost(error, session)?;
                tokio::time::sleep(pause).await;
                continue;
            }
        };
        server.found(session);
        if let Some(last) = items.last() {
            next = last.view.revision.saturating_add(1);
            wanted = wanted.saturating_sub(u64::try_from(items.len()).unwrap_or(u64::MAX));
            session.screen.data(&rows.page(&items))?;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// How it went with the server so far.
enum Server {
    /// It has not answered yet: a mistyped address should be told, not waited for.
    Unseen,
    Answers,
    /// Gone, and looked for after this long.
    Away(Duration),
}

impl Server {
    /// There was no answer: how long to wait before asking again.
    fn lost(&mut self, error: CommandError, session: &mut Session) -> Result<Duration, CommandError> {
        let pause = match self {
            _ if error.exit() != Exit::Unreachable => return Err(error),
            Self::Unseen => return Err(error),
            Self::Answers => {
                session.screen.say("The server cannot be reached. Waiting for it; Ctrl-C ends this.");
                PAUSE
            }
            Self::Away(pause) => pause.saturating_mul(2).min(PAUSE_MAX),
        };
        *self = Self::Away(pause);
        Ok(pause)
    }

    fn found(&mut self, session: &mut Session) {
        if matches!(self, Self::Away(_)) {
            session.screen.say("The server is back.");
        }
        *self = Self::Answers;
    }
}
