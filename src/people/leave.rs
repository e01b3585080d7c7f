//! Ending sessions, one's own and others'.

use nemo_events::{Actor, OperatorId};
use nemo_projections::Operators;
use nemo_projections::decide::EndSessions;

use super::sweep;
use crate::app::App;
use crate::auth::session::Viewer;
use crate::ledger::{Context, Done, ExecuteError};

/// Ends the session that somebody is in. It is over here whatever the ledger says.
///
/// # Errors
/// Where that cannot be written down.
pub async fn leave(app: &App, viewer: &Viewer, context: Context) -> Result<(), ExecuteError> {
    app.people.sessions.forget(viewer.session);
    let command = EndSessions::One(viewer.id, viewer.session);
    app.ledger.manage_operators(command, context).await.map(drop)
}

/// Ends all sessions of an operator, on every node.
///
/// # Errors
/// No such operator; where the ledger cannot be written.
pub async fn sign_out(app: &App, id: OperatorId, context: Context) -> Result<Done<Operators>, ExecuteError> {
    let done = app.ledger.manage_operators(EndSessions::Of(id), context).await?;
    sweep(app);
    Ok(done)
}

/// Ends everybody's sessions on every node, and every link that was made.
///
/// # Errors
/// Where the ledger cannot be written.
pub async fn sign_everybody_out(app: &App, context: Context) -> Result<Done<Operators>, ExecuteError> {
    // The first operator's link was made by nobody and outlives this: it holds only while there is nobody.
    let anybody = !app.ledger.operators(Operators::is_empty);
    let done = app.ledger.manage_operators(EndSessions::Everybody, context).await?;
    sweep(app);
    if anybody {
        app.people.links.forget_all();
    }
    Ok(done)
}

/// On behalf of a viewer.
#[must_use]
pub fn as_viewer(viewer: &Viewer, request: Option<nemo_events::RequestId>) -> Context {
    Context { actor: Actor::Operator { id: viewer.id }, request, call: None }
}
