//! What managers are told when something does not work, where that differs from what callers are told.
//!
//! A caller with a revoked key is not let in; a manager who wants to change one is, but the change
//! clashes with what is so already.

use actix_web::http::StatusCode;
use nemo_events::Revision;
use nemo_projections::Refusal;
use tracing::{error, warn};

use crate::error::Failure;
use crate::ledger::ExecuteError;
use crate::read_side::Unread;

/// A command's error in a manager's terms.
pub(crate) fn of_command(error: &ExecuteError) -> Failure {
    let clash = |refusal: &Refusal, why: &str| Failure::new(StatusCode::CONFLICT, refusal.code(), why);
    match error {
        ExecuteError::Refused(refusal @ Refusal::Revoked) => {
            clash(refusal, "The key is revoked. That is final: create another one.")
        }
        ExecuteError::Refused(refusal @ Refusal::OrgArchived) => {
            clash(refusal, "The org is archived. That is final: it neither changes nor gets new keys.")
        }
        ExecuteError::Refused(refusal @ Refusal::SecretRotated) => clash(
            refusal,
            "The key was rotated meanwhile: it has another secret than the one that was to be replaced.",
        ),
        ExecuteError::Refused(refusal) => Failure::from(refusal),
        ExecuteError::Unavailable(why) => {
            warn!(error = %error, "a manager was not served");
            unavailable(why)
        }
        ExecuteError::ClockBehind(ms) => {
            warn!(error = %error, "a manager was not served");
            unavailable(&format!("this node's clock is {ms} ms behind it"))
        }
        ExecuteError::Damaged(_) => {
            error!(error = %error, "a manager was not served");
            unavailable("it is damaged, and the log says where")
        }
    }
}

/// A read's error in a manager's terms.
pub(crate) fn of_read(error: &Unread) -> Failure {
    let try_again = |why: String| {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "read_model_unavailable", why)
            .retry_after_micros(1_000_000)
    };
    match error {
        Unread::Unavailable => try_again(
            "Lists and reports cannot be read just now: their database is being opened or repaired. Inference and \
             changes go on."
                .to_owned(),
        ),
        Unread::Behind { wanted, reached: Some(reached) } => {
            try_again(format!("Lists and reports have got to position {reached}, not yet to {wanted}."))
        }
        Unread::Behind { wanted, reached: None } => {
            try_again(format!("Lists and reports have not got to position {wanted}: they are being built anew."))
        }
        Unread::Busy => try_again("Too many lists and reports are being read.".to_owned()),
        Unread::InvalidCursor => {
            Failure::invalid_request("The cursor does not belong to this list: begin again without one.")
                .about("cursor")
        }
        Unread::InvalidQuery(why) => Failure::invalid_request(format!("The query is not valid: {why}.")),
    }
}

/// There is no key of this id.
pub(crate) fn no_such_key() -> Failure {
    Failure::from(&Refusal::KeyUnknown)
}

/// The key was created after the moment that was asked for.
pub(super) fn before_creation() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "moment_not_found", "The key was created later than that.")
}

/// The key has not got to the revision that was asked for.
pub(super) fn beyond_head(head: Revision) -> Failure {
    let why = format!("The key has no such event yet: its last one is {head}.");
    Failure::new(StatusCode::NOT_FOUND, "moment_not_found", why)
}

/// There is no org of this id. The id is not repeated: it may be anything.
pub(crate) fn no_such_org() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "org_not_found", "There is no such org.")
}

/// No master key of this id was ever in force.
pub(crate) fn no_such_master_key() -> Failure {
    let why = "There is no such master key. `GET /api/secrets` lists those that there are.";
    Failure::new(StatusCode::NOT_FOUND, "master_key_not_found", why)
}

/// What was given as a call's id is none. It is not repeated: it may be anything.
pub(crate) fn no_such_call() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "call_not_found", "There is no such call.")
}

/// A change that was sent in may still happen, so nobody should be told that it did not.
fn unavailable(why: &str) -> Failure {
    let why =
        format!("The ledger is not available: {why}. A change may have been made: look before repeating it.");
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", why).retry_after_micros(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_never_told_that_he_is_not_let_in() {
        for refusal in [Refusal::Revoked, Refusal::OrgArchived, Refusal::KeyExists] {
            let failure = of_command(&ExecuteError::Refused(refusal.clone()));
            assert_eq!((failure.status, failure.code), (StatusCode::CONFLICT, refusal.code()));
        }
        assert_eq!(no_such_key().status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_place_of_damage_stays_in_the_log() {
        let failure = of_command(&ExecuteError::Damaged("key-0123456789A @7".to_owned()));
        assert_eq!(failure.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!failure.message.contains("key-"));
    }
}
