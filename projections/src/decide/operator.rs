//! What may be asked of the people who log in. The last admin can be neither removed nor demoted, and no two
//! people have the same name.

use nemo_events::operator::{
    LinkPurpose, OperatorCreated, OperatorLinkIssued, OperatorPasswordSet, OperatorRemoved,
    OperatorRoleGranted, SessionStarted, SessionsEnded,
};
use nemo_events::{LinkId, OperatorEvent, OperatorId, PasswordId, Revision, Role, SessionId, Timestamp};

use super::OperatorCommand;
use super::manage::{validate_reason, validate_text};
use crate::Refusal;
use crate::operator::{Operator, Operators};

const NAME_MAX_BYTES: usize = 64;

/// Makes a link with which one person chooses a password.
#[derive(Debug, Clone)]
pub struct IssueLink {
    /// Tells it from others.
    pub link: LinkId,
    /// What it is for.
    pub purpose: LinkPurpose,
    /// For how long.
    pub valid_secs: u32,
}

/// The very first operator comes: an admin. Only while there is nobody yet.
#[derive(Debug, Clone)]
pub struct Found {
    /// Who.
    pub newcomer: Newcomer,
}

/// Another person comes, by a link.
#[derive(Debug, Clone)]
pub struct Join {
    /// Who.
    pub newcomer: Newcomer,
    /// As what: the link says so.
    pub role: Role,
    /// The link, and when it was made.
    pub link: (LinkId, Revision),
}

/// A person who becomes an operator.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// Their id.
    pub operator: OperatorId,
    /// The name that they chose.
    pub name: String,
    /// The password that they chose.
    pub password: PasswordId,
}

/// An operator chooses another password.
#[derive(Debug, Clone)]
pub struct SetPassword {
    /// Who.
    pub operator: OperatorId,
    /// Which.
    pub password: PasswordId,
    /// How it is known that it is them.
    pub proof: PasswordProof,
}

/// How it is known who sets a password.
#[derive(Debug, Clone, Copy)]
pub enum PasswordProof {
    /// They knew this one.
    Before(PasswordId),
    /// They have a link, made at that revision.
    Link(LinkId, Revision),
}

/// Gives an operator another role.
#[derive(Debug, Clone)]
pub struct GrantRole {
    /// Who.
    pub operator: OperatorId,
    /// Which.
    pub role: Role,
}

/// Removes an operator.
#[derive(Debug, Clone)]
pub struct RemoveOperator {
    /// Who.
    pub operator: OperatorId,
    /// Why.
    pub reason: Option<String>,
}

/// Begins a session, for whoever knew the password.
#[derive(Debug, Clone)]
pub struct StartSession {
    /// Who.
    pub operator: OperatorId,
    /// Tells it from others.
    pub session: SessionId,
    /// The password that was checked.
    pub password: PasswordId,
    /// From where.
    pub address: Option<String>,
}

/// Ends sessions.
#[derive(Debug, Clone, Copy)]
pub enum EndSessions {
    /// One.
    One(OperatorId, SessionId),
    /// All of an operator.
    Of(OperatorId),
    /// Everybody's, and with them every link that was made.
    Everybody,
}

fn present(state: &Operators, id: OperatorId) -> Result<&Operator, Refusal> {
    state.present(id).ok_or(Refusal::OperatorUnknown)
}

/// Refuses what would leave nobody who manages.
fn unless_last_admin(state: &Operators, operator: &Operator) -> Result<(), Refusal> {
    if operator.role == Role::Admin && state.admins() <= 1 { Err(Refusal::LastAdmin) } else { Ok(()) }
}

impl Newcomer {
    fn come(
        &self,
        state: &Operators,
        role: Role,
        link: Option<LinkId>,
    ) -> Result<Vec<OperatorEvent>, Refusal> {
        let name = self.name.trim();
        if name.is_empty() {
            return Err(Refusal::Invalid("name is empty".to_owned()));
        }
        validate_text("name", name, NAME_MAX_BYTES)?;
        if state.named(name).is_some() {
            return Err(Refusal::OperatorNameTaken);
        }
        let (operator, password) = (self.operator, self.password);
        Ok(vec![
            OperatorCreated { operator, name: name.to_owned(), role, link }.into(),
            OperatorPasswordSet { operator, password, link: None }.into(),
        ])
    }
}

impl OperatorCommand for Found {
    fn decide(&self, state: &Operators, _now: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        if !state.is_empty() {
            return Err(Refusal::LinkSpent);
        }
        self.newcomer.come(state, Role::Admin, None)
    }
}

impl OperatorCommand for Join {
    fn decide(&self, state: &Operators, _now: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        let (link, made) = self.link;
        if !state.link_holds(made) {
            return Err(Refusal::LinkSpent);
        }
        self.newcomer.come(state, self.role, Some(link))
    }
}

impl OperatorCommand for IssueLink {
    fn decide(&self, state: &Operators, now: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        if let LinkPurpose::Password { operator } = self.purpose {
            present(state, operator)?;
        }
        let valid_until = now.plus_secs(self.valid_secs.into());
        Ok(vec![OperatorLinkIssued { link: self.link, purpose: self.purpose, valid_until }.into()])
    }
}

impl OperatorCommand for SetPassword {
    fn decide(&self, state: &Operators, _now: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        let operator = present(state, self.operator)?;
        let link = match self.proof {
            PasswordProof::Before(known) if operator.password == Some(known) => None,
            // Somebody else chose another one meanwhile.
            PasswordProof::Before(_) => return Err(Refusal::LoginFailed),
            PasswordProof::Link(link, made) if state.link_holds(made) => Some(link),
            PasswordProof::Link(..) => return Err(Refusal::LinkSpent),
        };
        Ok(vec![OperatorPasswordSet { operator: self.operator, password: self.password, link }.into()])
    }
}

impl OperatorCommand for GrantRole {
    fn decide(&self, state: &Operators, _now: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        let operator = present(state, self.operator)?;
        if operator.role == self.role {
            return Ok(Vec::new());
        }
        unless_last_admin(state, operator)?;
        Ok(vec![OperatorRoleGranted { operator: self.operator, role: self.role }.into()])
    }
}

impl OperatorCommand for RemoveOperator {
    fn decide(&self, state: &Operators, _now: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        validate_reason(self.reason.as_deref())?;
        if state.get(self.operator).is_some_and(|operator| operator.removed_at.is_some()) {
            return Ok(Vec::new());
        }
        unless_last_admin(state, present(state, self.operator)?)?;
        Ok(vec![OperatorRemoved { operator: self.operator, reason: self.reason.clone() }.into()])
    }
}

impl OperatorCommand for StartSession {
    fn decide(&self, state: &Operators, _now: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        let operator = state.present(self.operator).ok_or(Refusal::LoginFailed)?;
        if operator.password != Some(self.password) {
            return Err(Refusal::LoginFailed);
        }
        let Self { operator, session, address, .. } = self.clone();
        Ok(vec![SessionStarted { operator, session, address }.into()])
    }
}

impl OperatorCommand for EndSessions {
    fn decide(&self, state: &Operators, _now: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        let (operator, session) = match *self {
            Self::Everybody => (None, None),
            Self::Of(operator) => (Some(operator), None),
            Self::One(operator, session) => (Some(operator), Some(session)),
        };
        if let Some(operator) = operator {
            present(state, operator)?;
        }
        Ok(vec![SessionsEnded { operator, session }.into()])
    }
}
