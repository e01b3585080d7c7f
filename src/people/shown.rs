//! Everybody who may log in, as lists show them.

use std::time::Instant;

use nemo_events::{OperatorId, Role, Timestamp};
use nemo_projections::Operators;
use serde::Serialize;
use utoipa::ToSchema;

use super::sweep;
use crate::app::App;

/// A person who logs in, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Operator)]
pub struct Person {
    /// Their id.
    pub id: OperatorId,
    /// What they log in with.
    pub name: String,
    /// What they are here for.
    pub role: Role,
    /// When they came.
    pub created_at: Timestamp,
    /// When they chose their password.
    pub password_set_at: Option<Timestamp>,
    /// When they last logged in.
    pub last_login_at: Option<Timestamp>,
    /// When they were removed; `null` while they may log in.
    pub removed_at: Option<Timestamp>,
    /// Sessions that they have at the node that answers.
    pub sessions: usize,
}

/// Everybody, in the order in which they came.
#[must_use]
pub fn everybody(app: &App, operators: &Operators) -> Vec<Person> {
    sweep(app);
    let now = Instant::now();
    let person = |(id, operator): (OperatorId, &nemo_projections::operator::Operator)| Person {
        id,
        name: operator.name.clone(),
        role: operator.role,
        created_at: operator.created_at,
        password_set_at: operator.password_set_at,
        last_login_at: operator.last_login_at,
        removed_at: operator.removed_at,
        sessions: app.people.sessions.count_of(id, now),
    };
    operators.iter().map(person).collect()
}
