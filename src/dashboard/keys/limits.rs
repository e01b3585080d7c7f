//! Change what a key may do.

use actix_web::http::StatusCode;

use super::limits_form::Use;
use super::subject::{Ask, done, form_page, fresh, is_over, refused, subject};
use super::wrong::Wrong;
use super::{bounds_in_words, limits_form, limits_read};
use crate::dashboard::{Fields, Shows, Visit};
use crate::error::FailureReply;
use crate::management::keys::limit;
use crate::management::orgs;
use crate::management::shapes::Key;
use nemo_events::limits::KeyLimits;

fn ask(bounds: Option<&KeyLimits>, sent: &Fields, wrong: &Wrong) -> Ask<'static> {
    let fields = maud::html! {
        @if let Some(bounds) = bounds { p .hint { (bounds_in_words(bounds)) } }
        (limits_form::show(Use::Key, sent, wrong))
        p .hint { "Binding at once. Calls in flight keep what was held for them." }
    };
    Ask { title: "What this key may do", fields, button: ("Save", "main") }
}

async fn bounds_of(visit: &Visit, key: &Key) -> Result<Option<KeyLimits>, FailureReply> {
    Ok(orgs::look_at(&visit.asked, key.org).await?.answer.limits.key_bounds)
}

/// `GET /keys/{id}/limits`
pub(in crate::dashboard) async fn form(visit: Visit) -> Shows {
    let (key, state) = (subject(&visit).await?, fresh());
    is_over(&visit, &key)?;
    let bounds = bounds_of(&visit, &key).await?;
    let ask = ask(bounds.as_ref(), &limits_read::fields_of(&key.limits), &state.1);
    Ok(form_page(&visit, &key, "limits", &ask, (state.0, &state.1), visit.query()))
}

/// `POST /keys/{id}/limits`
pub(in crate::dashboard) async fn submit(visit: Visit, sent: Fields) -> Shows {
    let key = subject(&visit).await?;
    let (status, wrong) = match limits_read::read(&sent, Some(&key.limits)) {
        Err(wrong) => (StatusCode::UNPROCESSABLE_ENTITY, wrong),
        Ok(limits) => match limit(&visit.asked, key.id, limits).await {
            Ok(_) => return Ok(done(&sent, &key)),
            Err(reply) => refused(reply.failure(), &limits_read::NAMES),
        },
    };
    let bounds = bounds_of(&visit, &key).await?;
    Ok(form_page(&visit, &key, "limits", &ask(bounds.as_ref(), &sent, &wrong), (status, &wrong), &sent))
}
