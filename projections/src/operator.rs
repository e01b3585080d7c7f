//! The fold of the `operators` stream: who may log in, as what, and which sessions have been ended.
//!
//! Sessions themselves are kept by the node on which they began. One is over as soon as the fold has an event
//! behind its beginning that ends it: so a new role, another password or a removal bind at once on the node
//! that wrote them, and on every other one when it follows the log.

use std::collections::BTreeMap;

use nemo_events::operator::{OperatorCreated, SessionsEnded};
use nemo_events::{OperatorEvent, OperatorId, PasswordId, Revision, Role, Timestamp};

use crate::{At, CorruptLog};

/// Everybody who ever logged in, those who were removed included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operators {
    people: BTreeMap<OperatorId, Operator>,
    /// Sessions that began before, and links that were made before, are over: everybody's.
    everybody_out: Option<Revision>,
    head: Option<Revision>,
}

/// A person, as far as the stream tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// What they log in with.
    pub name: String,
    /// What they are here for.
    pub role: Role,
    /// The password that counts; its hash is elsewhere.
    pub password: Option<PasswordId>,
    /// When they became an operator.
    pub created_at: Timestamp,
    /// When they chose the password.
    pub password_set_at: Option<Timestamp>,
    /// When they last logged in.
    pub last_login_at: Option<Timestamp>,
    /// When they were removed.
    pub removed_at: Option<Timestamp>,
    /// Sessions that began before are over.
    out: Option<Revision>,
}

/// How names are compared: without regard to case and to spaces around them.
#[must_use]
pub fn comparable(name: &str) -> String {
    name.trim().to_lowercase()
}

impl Operators {
    /// Whether nobody was ever an operator.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// The last event's revision.
    #[must_use]
    pub const fn head(&self) -> Option<Revision> {
        self.head
    }

    /// Everybody, in the order in which they came, those who were removed included.
    pub fn iter(&self) -> impl Iterator<Item = (OperatorId, &Operator)> {
        self.people.iter().map(|(id, operator)| (*id, operator))
    }

    /// An operator, removed or not.
    #[must_use]
    pub fn get(&self, id: OperatorId) -> Option<&Operator> {
        self.people.get(&id)
    }

    /// An operator who was not removed.
    #[must_use]
    pub fn present(&self, id: OperatorId) -> Option<&Operator> {
        self.get(id).filter(|operator| operator.removed_at.is_none())
    }

    /// The operator of a name who was not removed.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<(OperatorId, &Operator)> {
        let name = comparable(name);
        let present = self.iter().filter(|(_, operator)| operator.removed_at.is_none());
        present.into_iter().find(|(_, operator)| comparable(&operator.name) == name)
    }

    /// The operator whose session began at a revision; `None` once it is over.
    #[must_use]
    pub fn in_session(&self, id: OperatorId, began: Revision) -> Option<&Operator> {
        let operator = self.present(id)?;
        let alive = |out: Option<Revision>| out.is_none_or(|out| began > out);
        (alive(operator.out) && alive(self.everybody_out)).then_some(operator)
    }

    /// Whether a link that was made at a revision may still be used.
    #[must_use]
    pub fn link_holds(&self, made: Revision) -> bool {
        self.everybody_out.is_none_or(|out| made > out)
    }

    /// Admins who were not removed.
    #[must_use]
    pub fn admins(&self) -> usize {
        let admin = |operator: &&Operator| operator.role == Role::Admin && operator.removed_at.is_none();
        self.people.values().filter(admin).count()
    }

    /// Folds one event.
    ///
    /// # Errors
    /// An event that no decision could have written at this place.
    pub fn evolve(&mut self, event: &OperatorEvent, at: At) -> Result<(), CorruptLog> {
        self.head = Some(at.revision);
        match event {
            OperatorEvent::OperatorCreated(e) => self.created(e, at),
            OperatorEvent::OperatorPasswordSet(e) => {
                let operator = self.changed(e.operator)?;
                (operator.password, operator.password_set_at) = (Some(e.password), Some(at.time));
                operator.out = Some(at.revision);
                Ok(())
            }
            OperatorEvent::OperatorRoleGranted(e) => {
                let operator = self.changed(e.operator)?;
                (operator.role, operator.out) = (e.role, Some(at.revision));
                Ok(())
            }
            OperatorEvent::OperatorRemoved(e) => {
                let operator = self.changed(e.operator)?;
                (operator.removed_at, operator.out) = (Some(at.time), Some(at.revision));
                Ok(())
            }
            OperatorEvent::SessionStarted(e) => {
                self.changed(e.operator)?.last_login_at = Some(at.time);
                Ok(())
            }
            OperatorEvent::SessionsEnded(e) => self.ended(e, at),
            // Of links the node that made them knows more; the rest is for whoever reads the ledger.
            OperatorEvent::OperatorLinkIssued(_)
            | OperatorEvent::LoginsFailed(_)
            | OperatorEvent::LedgerRead(_)
            | OperatorEvent::LedgerExported(_) => Ok(()),
        }
    }

    fn created(&mut self, e: &OperatorCreated, at: At) -> Result<(), CorruptLog> {
        let operator = Operator {
            name: e.name.clone(),
            role: e.role,
            password: None,
            created_at: at.time,
            password_set_at: None,
            last_login_at: None,
            removed_at: None,
            out: Some(at.revision),
        };
        match self.people.insert(e.operator, operator) {
            None => Ok(()),
            Some(_) => Err(CorruptLog("an operator was created twice")),
        }
    }

    fn ended(&mut self, e: &SessionsEnded, at: At) -> Result<(), CorruptLog> {
        match (e.operator, e.session) {
            (None, _) => self.everybody_out = Some(at.revision),
            (Some(id), None) => self.changed(id)?.out = Some(at.revision),
            // The one session is forgotten by the node that has it.
            (Some(_), Some(_)) => {}
        }
        Ok(())
    }

    fn changed(&mut self, id: OperatorId) -> Result<&mut Operator, CorruptLog> {
        let operator =
            self.people.get_mut(&id).ok_or(CorruptLog("an operator's first event is not their creation"))?;
        if operator.removed_at.is_some() {
            return Err(CorruptLog("an operator changed who was removed"));
        }
        Ok(operator)
    }
}
