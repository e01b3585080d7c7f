//! Change what a key may do.

use actix_web::http::StatusCode;

use super::subject::{Ask, done, form_page, fresh, is_over, refused, subject};
use super::wrong::Wrong;
use super::{limits_form, limits_read};
use crate::dashboard::{Fields, Shows, Visit};
use crate::management::keys::limit;

fn ask(sent: &Fields, wrong: &Wrong) -> Ask<'static> {
    let fields = maud::html! {
        (limits_form::show(sent, wrong))
        p .hint { "Binding at once. Calls in flight keep what was held for them." }
    };
    Ask { title: "What this key may do", fields, button: ("Save", "main") }
}

/// `GET /keys/{id}/limits`
pub(in crate::dashboard) async fn form(visit: Visit) -> Shows {
    let (key, state) = (subject(&visit).await?, fresh());
    is_over(&visit, &key)?;
    let ask = ask(&limits_read::fields_of(&key.limits), &state.1);
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
    Ok(form_page(&visit, &key, "limits", &ask(&sent, &wrong), (status, &wrong), &sent))
}
