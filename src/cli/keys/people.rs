//! Names of the people in a timeline: the ledger names them by id.

use std::collections::BTreeMap;

use nemo_events::{Actor, OperatorId};

use crate::cli::remote::{List, Session};
use crate::cli::render::events::Event;
use crate::cli::views::Operator;

/// People by their ids, as they are called now.
pub(super) struct People(BTreeMap<OperatorId, String>);

impl People {
    /// Asks the server. Where it does not tell, ids stand in the place of names.
    pub(super) async fn of(session: &Session) -> Self {
        let query = vec![("removed", "true".to_owned())];
        let list = List { path: &["api", "operators"], query, next: "cursor", limit: None };
        let (mut people, mut place) = (BTreeMap::new(), None);
        while let Ok(page) = session.page::<Operator>(&list, place.as_ref(), u64::MAX).await {
            people.extend(page.items.into_iter().map(|person| (person.view.id, person.view.name)));
            if page.next_cursor.is_none() || page.next_cursor == place {
                break;
            }
            place = page.next_cursor;
        }
        Self(people)
    }

    /// Tells an event who caused it.
    pub(super) fn tell(&self, event: &mut Event) {
        if let Some(Actor::Operator { id }) = event.metadata.actor.get() {
            event.person = self.0.get(id).cloned();
        }
    }
}
