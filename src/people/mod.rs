//! People who log in: how they come by a link, prove who they are, and leave. What of it must survive is in the
//! `operators` stream; hashes of passwords are in the secrets directory; sessions and the codes of links are in
//! this node's memory and nowhere else.
//!
//! Pages and `/api/operators` call the same functions.

mod invite;
mod join;
mod leave;
mod log_in;
mod shown;

use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use nemo_events::{Actor, OperatorId};

pub use invite::{Invited, first_link, invite};
pub use join::{Joining, change_password, join, set_password};
pub use leave::{as_viewer, leave, sign_everybody_out, sign_out};
pub use log_in::{Login, log_in};
pub use shown::{Person, everybody};

use crate::app::App;
use crate::auth::address;
use crate::auth::links::Links;
use crate::auth::password::{CannotHash, Hasher};
use crate::auth::secrets::passwords::Passwords;
use crate::auth::sessions::{Sessions, Token};
use crate::auth::throttle::Throttle;
use crate::config::Server;
use crate::error::Failure;
use crate::ledger::Context;
use crate::metrics::people::PeopleMetrics;
use crate::request_id;

/// What this node keeps of people.
#[derive(Debug)]
pub struct People {
    /// Who is logged in.
    pub sessions: Sessions,
    /// Links that wait to be used.
    pub links: Links,
    /// How often was guessed.
    pub throttle: Throttle,
    /// Hashes passwords, a few at a time.
    pub hasher: Hasher,
    /// The hashes on disk.
    pub passwords: Passwords,
    /// What is counted.
    pub metrics: PeopleMetrics,
}

impl People {
    /// Nobody yet.
    #[must_use]
    pub fn new(server: &Server) -> Self {
        Self {
            sessions: Sessions::new(
                Duration::from_secs(server.session_idle_secs.into()),
                Duration::from_secs(server.session_max_secs.into()),
            ),
            links: Links::default(),
            throttle: Throttle::default(),
            hasher: Hasher::default(),
            passwords: Passwords::of(&server.secrets_dir()),
            metrics: PeopleMetrics::default(),
        }
    }

    /// How many sessions there are now.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.count(Instant::now())
    }
}

/// A session that has begun: what its browser keeps.
pub struct LoggedIn {
    /// Who.
    pub operator: OperatorId,
    /// The token for the cookie.
    pub token: Token,
}

/// Forgets the sessions that the ledger says are over.
fn sweep(app: &App) {
    app.ledger.operators(|operators| {
        app.people
            .sessions
            .sweep(Instant::now(), |session| operators.in_session(session.operator, session.began).is_some());
    });
}

/// On behalf of an operator who does not have a session yet.
fn as_operator(id: OperatorId, request: &HttpRequest) -> Context {
    Context { actor: Actor::Operator { id }, request: request_id::of(request), call: None }
}

/// From where a request comes, as far as that is recorded.
fn recorded_address(app: &App, request: &HttpRequest) -> Option<String> {
    let server = &app.config.server;
    let address = address::of(request, &server.trusted_proxies)?;
    address::client(address, None, server.record_clients).address
}

fn cannot_hash(error: CannotHash) -> Failure {
    match error {
        CannotHash::Busy => Failure::too_many_logins(
            "Too many people log in at this moment. Try again in a second.",
            Duration::from_secs(1),
        ),
        CannotHash::Broken => Failure::internal(),
    }
}
