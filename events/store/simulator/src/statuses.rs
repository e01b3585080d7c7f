//! What the server says when it refuses, in its own words (`RpcExceptions.cs` and `Status.cs` of its sources).

use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::faults::Refusal;
use crate::log::{Expected, InvalidPosition};
use crate::protocol as wire;
use crate::protocol::rpc;

pub(crate) fn not_leader(host: &str, port: u16) -> Status {
    exception(
        Code::NotFound,
        "Leader info available",
        &[
            ("exception", "not-leader"),
            ("leader-endpoint-host", host),
            ("leader-endpoint-port", &port.to_string()),
        ],
    )
}

pub(crate) fn no_leader() -> Status {
    Status::unknown("No leader info available in response")
}

pub(crate) fn access_denied() -> Status {
    exception(Code::PermissionDenied, "Access Denied", &[("exception", "access-denied")])
}

pub(crate) fn timed_out(what: &str) -> Status {
    Status::aborted(format!("Operation timed out: {what}"))
}

pub(crate) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("Deadline Exceeded")
}

pub(crate) fn too_large(max: usize) -> Status {
    exception(
        Code::InvalidArgument,
        &format!("Maximum Append Size of {max} Exceeded."),
        &[("exception", "maximum-append-size-exceeded"), ("maximum-append-size", &max.to_string())],
    )
}

pub(crate) fn invalid_position(why: InvalidPosition) -> Status {
    match why {
        InvalidPosition::NoRecord => Status::invalid_argument("Trying to read from an invalid position."),
        InvalidPosition::BehindEnd => Status::unknown("Unexpected ReadAllResult: Error"),
    }
}

fn exception(code: Code, message: &str, trailers: &[(&'static str, &str)]) -> Status {
    let mut metadata = MetadataMap::new();
    for (name, value) in trailers {
        metadata.insert(*name, value.parse().expect("host, port and size are ASCII"));
    }
    Status::with_metadata(code, message, metadata)
}

/// An error inside a batch session, which the session survives on the server's side.
pub(crate) fn in_session(refusal: &Refusal, expected: Expected, max_append_bytes: usize) -> rpc::Status {
    match refusal {
        Refusal::WrongExpectedVersion { current } => wrong_expected_version(*current, expected),
        Refusal::AccessDenied => named(rpc::Code::PermissionDenied, "AccessDenied", &wire::AccessDenied {}),
        Refusal::Timeout => named(rpc::Code::DeadlineExceeded, "Timeout", &wire::Timeout {}),
        Refusal::Unknown => named(rpc::Code::Unknown, "Unknown", &wire::Unknown {}),
        Refusal::TooLarge => {
            let max_append_size = u32::try_from(max_append_bytes).unwrap_or(u32::MAX);
            let details = wire::MaximumAppendSizeExceeded { max_append_size };
            named(rpc::Code::InvalidArgument, "MaximumAppendSizeExceeded", &details)
        }
        Refusal::BadRequest(why) => {
            let details = wire::BadRequest { message: why.clone() };
            named(rpc::Code::InvalidArgument, "BadRequest", &details)
        }
        // The server forgets the code here, so that it says OK with an error.
        Refusal::Busy => unnamed("Server Is Busy"),
        Refusal::NotReady => unnamed("Server Is Not Ready"),
    }
}

/// The same as the status of a call that is one append.
pub(crate) fn of_call(refusal: &Refusal, max_append_bytes: usize) -> Status {
    match refusal {
        Refusal::AccessDenied => access_denied(),
        Refusal::Timeout => timed_out("Commit Timeout"),
        Refusal::TooLarge => too_large(max_append_bytes),
        Refusal::BadRequest(why) => Status::invalid_argument(why),
        Refusal::Busy => Status::unavailable("Server Is Too Busy"),
        Refusal::NotReady => Status::unavailable("Server Is Not Ready"),
        Refusal::Unknown => Status::unknown("Unexpected OperationResult: Error"),
        // An answer of its own in the protocol; a status only where no answer fits.
        Refusal::WrongExpectedVersion { .. } => Status::failed_precondition("WrongExpectedVersion"),
    }
}

fn wrong_expected_version(current: Option<u64>, expected: Expected) -> rpc::Status {
    use wire::wrong_expected_version::{
        CurrentStreamRevisionOption as Current, ExpectedStreamPositionOption as Want,
    };
    let details = wire::WrongExpectedVersion {
        current_stream_revision_option: Some(
            current.map_or(Current::CurrentNoStream(()), Current::CurrentStreamRevision),
        ),
        expected_stream_position_option: Some(match expected {
            Expected::Any => Want::ExpectedAny(()),
            Expected::NoStream => Want::ExpectedNoStream(()),
            Expected::StreamExists => Want::ExpectedStreamExists(()),
            Expected::Revision(revision) => Want::ExpectedStreamPosition(revision),
        }),
    };
    named(rpc::Code::AlreadyExists, "WrongExpectedVersion", &details)
}

/// A status whose message is the name of its details' type.
fn named(code: rpc::Code, name: &str, details: &impl Message) -> rpc::Status {
    let type_url = format!("type.googleapis.com/event_store.client.{name}");
    let details = prost_types::Any { type_url, value: details.encode_to_vec() };
    rpc::Status { code: code as i32, message: name.to_owned(), details: Some(details) }
}

fn unnamed(message: &str) -> rpc::Status {
    let type_url = "type.googleapis.com/google.protobuf.Empty".to_owned();
    let details = prost_types::Any { type_url, value: Vec::new() };
    rpc::Status { code: rpc::Code::Ok as i32, message: message.to_owned(), details: Some(details) }
}
