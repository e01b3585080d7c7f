//! Relabel.

use nemo_projections::decide::Relabel;

use super::labels_form::{self, NAMES, fields_of, read};
use super::subject::{Ask, done, form_page, fresh, is_over, refused, subject};
use super::wrong::Wrong;
use crate::dashboard::{Fields, Shows, Visit};

fn ask(sent: &Fields, wrong: &Wrong) -> Ask<'static> {
    let fields = maud::html! {
        (labels_form::show(sent, wrong))
        p .hint { "Calls made before stay attributed to the labels of their time." }
    };
    Ask { title: "What this key is for", fields, button: ("Save", "main") }
}

/// `GET /keys/{id}/labels`
pub(in crate::dashboard) async fn form(visit: Visit) -> Shows {
    let (key, state) = (subject(&visit).await?, fresh());
    is_over(&visit, &key)?;
    let ask = ask(&fields_of(&key.labels), &state.1);
    Ok(form_page(&visit, &key, "labels", &ask, (state.0, &state.1), visit.query()))
}

/// `POST /keys/{id}/labels`
pub(in crate::dashboard) async fn submit(visit: Visit, sent: Fields) -> Shows {
    let key = subject(&visit).await?;
    match visit.asked.manage_key(key.id, Relabel { labels: read(&sent) }).await {
        Ok(_) => Ok(done(&sent, &key)),
        Err(reply) => {
            let (status, wrong) = refused(reply.failure(), &NAMES);
            Ok(form_page(&visit, &key, "labels", &ask(&sent, &wrong), (status, &wrong), &sent))
        }
    }
}
