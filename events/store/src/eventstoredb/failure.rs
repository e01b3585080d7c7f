//! What the client's errors mean, and how they are told: shortly, and without what the server's headers say.

use eventstore::Error;

/// gRPC's codes, which the client hands on as they are.
mod code {
    pub(super) const OK: i32 = 0;
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const ALREADY_EXISTS: i32 = 6;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// What the client says of an append that it never handed on: its session had ended before.
const SESSION_ENDED: &str = "Batch-append stream has been closed";

const LONGEST_TEXT: usize = 200;

/// What an error tells of an append.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The stream's head is another one.
    Conflict,
    /// It did not reach the server: the session had ended.
    NotSent,
    /// Nothing was written.
    NotWritten(String),
    /// Nothing was written: too many bytes at once.
    TooLarge,
    /// Nobody knows.
    Unknown(String),
}

/// What an error that came instead of an append's result tells.
pub(super) fn of_append(error: &Error) -> Verdict {
    match error {
        Error::WrongExpectedVersion { .. } | Error::ResourceAlreadyExists => Verdict::Conflict,
        Error::ServerError(text) if text.contains(SESSION_ENDED) => Verdict::NotSent,
        // A follower does not take what is for the leader.
        Error::NotLeaderException(_)
        | Error::AccessDenied
        | Error::ResourceDeleted
        | Error::ResourceNotFound
        | Error::UnsupportedFeature => Verdict::NotWritten(text(error)),
        Error::Grpc { code, message } => match i32::from(*code) {
            code::ALREADY_EXISTS => Verdict::Conflict,
            code::INVALID_ARGUMENT if message.starts_with("MaximumAppend") => Verdict::TooLarge,
            // "Server Is Not Ready", "Server Is Busy", "No leader info available in response": the
            // server sets no code with these.
            code::OK | code::NOT_FOUND | code::PERMISSION_DENIED | code::UNAUTHENTICATED => {
                Verdict::NotWritten(text(error))
            }
            _ => Verdict::Unknown(text(error)),
        },
        _ => Verdict::Unknown(text(error)),
    }
}

/// Whether the server refuses a position as none of its own.
pub(super) fn refuses_position(error: &Error) -> bool {
    match error {
        Error::Grpc { code, .. } => i32::from(*code) == code::INVALID_ARGUMENT,
        Error::ServerError(text) => text.to_ascii_lowercase().contains("position"),
        _ => false,
    }
}

/// An error in a few words.
pub(super) fn text(error: &Error) -> String {
    let text = match error {
        Error::NotLeaderException(leader) => {
            format!("the node is not the leader; {}:{} is", leader.host, leader.port)
        }
        Error::Grpc { message, .. } if !message.is_empty() => message.clone(),
        Error::ServerError(status) => of_status(status).to_owned(),
        Error::GrpcConnectionError(eventstore::GrpcConnectionError::Grpc(status)) => {
            of_status(status).to_owned()
        }
        Error::AccessDenied => "access denied: check the user's name, password and rights".to_owned(),
        Error::ResourceDeleted => "the stream was deleted".to_owned(),
        Error::UnsupportedFeature => "the server is too old: at least 21.10 is needed".to_owned(),
        other => other.to_string(),
    };
    short(&text)
}

/// A status without details and headers.
fn of_status(status: &str) -> &str {
    status.split(", details: ").next().unwrap_or(status)
}

pub(super) fn short(text: &str) -> String {
    let mut short: String =
        text.chars().take(LONGEST_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
