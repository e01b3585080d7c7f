//! Block and unblock.

use maud::html;
use nemo_projections::decide::{Block, Unblock};

use super::subject::{Ask, done, form_page, fresh, is_over, reason, refused, subject};
use super::wrong::Wrong;
use crate::dashboard::{Fields, Shows, Visit};

fn ask_block(sent: &Fields, wrong: &Wrong) -> Ask<'static> {
    let fields = html! {
        p { "Calls with this key are refused until it is unblocked. Calls in flight run to their end." }
        (reason(sent, wrong))
    };
    Ask { title: "Block this key", fields, button: ("Block", "danger main") }
}

fn ask_unblock() -> Ask<'static> {
    let fields = html! { p { "The key works again at once, within its limits." } };
    Ask { title: "Unblock this key", fields, button: ("Unblock", "main") }
}

/// `GET /keys/{id}/block`
pub(in crate::dashboard) async fn form(visit: Visit) -> Shows {
    let (key, state) = (subject(&visit).await?, fresh());
    is_over(&visit, &key)?;
    let sent = visit.query();
    Ok(form_page(&visit, &key, "block", &ask_block(sent, &state.1), (state.0, &state.1), sent))
}

/// `POST /keys/{id}/block`
pub(in crate::dashboard) async fn submit(visit: Visit, sent: Fields) -> Shows {
    let key = subject(&visit).await?;
    match visit.asked.manage_key(key.id, Block { reason: sent.given("reason") }).await {
        Ok(_) => Ok(done(&sent, &key)),
        Err(reply) => {
            let (status, wrong) = refused(reply.failure(), &["reason"]);
            Ok(form_page(&visit, &key, "block", &ask_block(&sent, &wrong), (status, &wrong), &sent))
        }
    }
}

/// `GET /keys/{id}/unblock`
pub(in crate::dashboard) async fn unblock_form(visit: Visit) -> Shows {
    let (key, state) = (subject(&visit).await?, fresh());
    is_over(&visit, &key)?;
    Ok(form_page(&visit, &key, "unblock", &ask_unblock(), (state.0, &state.1), visit.query()))
}

/// `POST /keys/{id}/unblock`
pub(in crate::dashboard) async fn unblock(visit: Visit, sent: Fields) -> Shows {
    let key = subject(&visit).await?;
    match visit.asked.manage_key(key.id, Unblock).await {
        Ok(_) => Ok(done(&sent, &key)),
        Err(reply) => {
            let (status, wrong) = refused(reply.failure(), &[]);
            Ok(form_page(&visit, &key, "unblock", &ask_unblock(), (status, &wrong), &sent))
        }
    }
}
