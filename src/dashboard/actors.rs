//! Who did something, by the names that people know.

use maud::{Markup, html};
use nemo_events::Actor;

use crate::app::App;

/// Names of those who may have done something.
pub(super) struct Actors<'a> {
    app: &'a App,
}

impl<'a> Actors<'a> {
    /// Those of a gateway.
    #[must_use]
    pub(super) const fn of(app: &'a App) -> Self {
        Self { app }
    }

    /// Somebody's name.
    #[must_use]
    pub(super) fn name(&self, actor: &Actor) -> Markup {
        match actor {
            Actor::Operator { id } => {
                let name =
                    self.app.ledger.operators(|people| people.get(*id).map(|person| person.name.clone()));
                html! { span .anywhere title=(id) { (name.unwrap_or_else(|| "somebody unknown".to_owned())) } }
            }
            Actor::MasterKey { id } => html! { span title={ "Master key " (id) } { "master key" } },
            Actor::VirtualKey { id } => html! { a href={ "/keys/" (id) } { "the key" } },
            Actor::System => html! { "the gateway" },
        }
    }
}
