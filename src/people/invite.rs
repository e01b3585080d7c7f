//! Making links with which people choose their passwords.

use nemo_events::operator::LinkPurpose;
use nemo_events::{LinkId, Timestamp};
use nemo_projections::decide::IssueLink;
use uuid::Uuid;

use crate::app::App;
use crate::auth::links::{Code, Link};
use crate::error::Failure;
use crate::ledger::Context;
use crate::management::failures;

/// How long a link holds that somebody asked for.
const VALID_SECS: u32 = 3_600;

/// A link that was made.
pub struct Invited {
    /// Its path with its code behind the `#`, which no browser ever sends. Shown once.
    pub path: String,
    /// Until when it holds.
    pub valid_until: Timestamp,
}

/// Makes a link.
///
/// # Errors
/// `operator_not_found`; where the ledger cannot be written.
pub async fn invite(app: &App, purpose: LinkPurpose, context: Context) -> Result<Invited, Failure> {
    let id = LinkId::from_uuid(Uuid::now_v7());
    let command = IssueLink { link: id, purpose, valid_secs: VALID_SECS };
    let done = app.ledger.manage_operators(command, context).await;
    let state = done.map_err(|error| failures::of_command(&error))?.answer;
    let made = state.head().ok_or_else(Failure::internal)?;
    let now = app.ledger.now();
    let until = now.plus_secs(VALID_SECS.into());
    let code = app.people.links.make(Link::Issued { id, purpose, made, until }, now);
    let code = code.map_err(|_| Failure::internal())?;
    let page = match purpose {
        LinkPurpose::Invitation { .. } => "/setup",
        LinkPurpose::Password { .. } => "/setup/password",
    };
    Ok(Invited { path: path(page, &code), valid_until: until })
}

/// The link for the very first operator; `None` once there is somebody.
#[must_use]
pub fn first_link(app: &App) -> Option<String> {
    if !app.ledger.operators(nemo_projections::Operators::is_empty) {
        return None;
    }
    let code = app.people.links.make(Link::First, app.ledger.now()).ok()?;
    Some(path("/setup", &code))
}

fn path(page: &str, code: &Code) -> String {
    format!("{page}#{}", code.expose_secret())
}
