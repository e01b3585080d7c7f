//! One append, from the request that was read to the answer, past everything that may go wrong on the way.

use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::Streams;
use super::record;
use crate::call::Call;
use crate::faults::{AppendFault, Calls, LateAnswer, Refusal};
use crate::log::{Appended, Expected, Proposed, Refused, Write};
use crate::protocol::streams as wire;
use crate::statuses;

/// What becomes of the call.
pub(super) enum Reply {
    /// The outcome is answered.
    Say(Result<Appended, Refusal>),
    /// Half of the answer is sent before the connection is cut.
    SayHalf(Result<Appended, Refusal>),
    /// Nothing is ever answered.
    Nothing,
    /// The call ends like this.
    End(Status),
    /// The call ends as if all were said.
    Finish,
}

impl Streams {
    /// Does what is asked, or what a fault wants instead.
    pub(super) async fn perform(&self, call: &Call, write: Write, arrived: Instant) -> Reply {
        let shared = &self.shared;
        tokio::select! {
            () = shared.faults.pass(Calls::Appends) => {}
            () = call.link.until_cut() => return Reply::Nothing,
        }
        shared.travel(arrived).await;
        if !self.leads_if(call.requires_leader)
            && let Err(status) = shared.check_leader(self.node)
        {
            return Reply::End(status);
        }
        if let Some(refusal) = self.refusal(call, &write) {
            return Reply::Say(Err(refusal));
        }
        let Some(fault) = shared.faults.take(&write.stream) else {
            return self.commit_and_say(call, write).await;
        };
        let reply = self.fail(call, write, fault).await;
        shared.counters.count(|counts| counts.faults += 1);
        reply
    }

    /// A leader that loses its place before the append's turn has come redirects it like any that comes later.
    async fn commit_and_say(&self, call: &Call, write: Write) -> Reply {
        let outcome = self.commit(call, write).await;
        match self.shared.check_leader(self.node) {
            Err(status) if outcome.is_err() && call.requires_leader => Reply::End(status),
            _ => Reply::Say(outcome),
        }
    }

    /// Whether this node leads, if that is required.
    fn leads_if(&self, is_required: bool) -> bool {
        !is_required || self.shared.leader() == self.node
    }

    async fn fail(&self, call: &Call, write: Write, fault: AppendFault) -> Reply {
        match fault {
            AppendFault::Conflict => {
                Reply::Say(Err(Refusal::WrongExpectedVersion { current: other_than(write.expected) }))
            }
            AppendFault::Refuse(refusal) => Reply::Say(Err(refusal)),
            AppendFault::Fail(code) => Reply::End(Status::new(code, "as the test wants it")),
            AppendFault::CutBeforeReading | AppendFault::CutBeforeCommit => self.cut(call),
            AppendFault::CutAfterCommit => {
                let _ = self.commit(call, write).await;
                self.cut(call)
            }
            AppendFault::CutMidAnswer => {
                let outcome = self.commit(call, write).await;
                call.link.cut_in_next_answer();
                Reply::SayHalf(outcome)
            }
            AppendFault::SilentAfterCommit => {
                let _ = self.commit(call, write).await;
                Reply::Nothing
            }
            AppendFault::Silent => Reply::Nothing,
            AppendFault::EndSession => Reply::Finish,
            AppendFault::LateCommit(answer) => {
                self.shared.faults.hold(write);
                match answer {
                    LateAnswer::Nothing => Reply::Nothing,
                    LateAnswer::Timeout => Reply::Say(Err(Refusal::Timeout)),
                    LateAnswer::Cut => self.cut(call),
                }
            }
            AppendFault::Slow(by) => {
                tokio::time::sleep(by).await;
                self.commit_and_say(call, write).await
            }
        }
    }

    fn cut(&self, call: &Call) -> Reply {
        call.link.cut();
        Reply::Nothing
    }

    async fn commit(&self, call: &Call, write: Write) -> Result<Appended, Refusal> {
        let counters = &self.shared.counters;
        let number = write.events.len() as u64;
        let (service, link, requires_leader) = (self.clone(), call.link.clone(), call.requires_leader);
        let may = move || !link.is_cut() && service.leads_if(requires_leader);
        match self.shared.log.append(write, may).await {
            Ok(appended) => {
                if !appended.again {
                    counters.count(|counts| {
                        counts.appends_committed += 1;
                        counts.events_committed += number;
                    });
                }
                Ok(appended)
            }
            Err(Refused::WrongExpectedVersion { current }) => {
                counters.count(|counts| counts.conflicts += 1);
                Err(Refusal::WrongExpectedVersion { current })
            }
            Err(Refused::NotWritten) => Err(Refusal::Unknown),
        }
    }

    fn refusal(&self, call: &Call, write: &Write) -> Option<Refusal> {
        if !call.is_allowed {
            return Some(Refusal::AccessDenied);
        }
        (size(&write.events) > self.shared.options.max_append_bytes).then_some(Refusal::TooLarge)
    }

    /// The unary call: one append, in pieces.
    pub(super) async fn append_one(
        &self,
        call: Call,
        mut pieces: Streaming<wire::AppendReq>,
    ) -> Result<wire::AppendResp, Status> {
        let max = self.shared.options.max_append_bytes;
        let refuse = |refusal: Refusal| statuses::of_call(&refusal, max);
        let mut write = None;
        while let Some(piece) = pieces.message().await? {
            match piece.content {
                Some(wire::append_req::Content::Options(options)) => {
                    write = Some(options_of(options).map_err(refuse)?);
                }
                Some(wire::append_req::Content::ProposedMessage(event)) => {
                    let write =
                        write.as_mut().ok_or_else(|| refuse(Refusal::BadRequest("no options".to_owned())))?;
                    let event = record::proposed(event.id, event.metadata, event.custom_metadata, event.data);
                    write.events.push(event.map_err(refuse)?);
                }
                None => return Err(refuse(Refusal::BadRequest("no content".to_owned()))),
            }
        }
        let write = write.ok_or_else(|| refuse(Refusal::BadRequest("no options".to_owned())))?;
        let expected = write.expected;
        self.shared.counters.count(|counts| counts.appends_arrived += 1);
        let reply = tokio::select! {
            reply = self.perform(&call, write, Instant::now()) => reply,
            () = call.until_deadline() => return Err(statuses::deadline_exceeded()),
        };
        match reply {
            Reply::Say(Ok(appended)) | Reply::SayHalf(Ok(appended)) => Ok(success(appended)),
            Reply::Say(Err(Refusal::WrongExpectedVersion { current })) => {
                Ok(wrong_version(current, expected))
            }
            Reply::Say(Err(refusal)) | Reply::SayHalf(Err(refusal)) => Err(refuse(refusal)),
            Reply::End(status) => Err(status),
            Reply::Nothing | Reply::Finish => {
                call.until_deadline().await;
                Err(statuses::deadline_exceeded())
            }
        }
    }
}

/// `Event.SizeOnDisk`, which `MaxAppendSize` is compared with.
pub(super) fn size(events: &[Proposed]) -> usize {
    events.iter().map(|event| event.data.len() + event.metadata.len() + 2 * event.event_type.len()).sum()
}

/// A last revision that contradicts what was expected.
fn other_than(expected: Expected) -> Option<u64> {
    match expected {
        Expected::Revision(revision) => Some(revision + 1),
        Expected::NoStream => Some(0),
        Expected::Any | Expected::StreamExists => None,
    }
}

fn options_of(options: wire::append_req::Options) -> Result<Write, Refusal> {
    use wire::append_req::options::ExpectedStreamRevision as Wire;
    let expected = match options.expected_stream_revision {
        Some(Wire::Revision(revision)) => Expected::Revision(revision),
        Some(Wire::NoStream(())) => Expected::NoStream,
        Some(Wire::Any(())) => Expected::Any,
        Some(Wire::StreamExists(())) => Expected::StreamExists,
        None => return Err(Refusal::BadRequest("'None' is not a valid expected revision".to_owned())),
    };
    Ok(Write { stream: record::stream_name(options.stream_identifier)?, expected, events: Vec::new() })
}

fn success(appended: Appended) -> wire::AppendResp {
    use wire::append_resp::success::{CurrentRevisionOption, PositionOption};
    use wire::append_resp::{Position, Result, Success};
    let position = |at| Position { commit_position: at, prepare_position: at };
    let success = Success {
        current_revision_option: Some(
            appended
                .revision
                .map_or(CurrentRevisionOption::NoStream(()), CurrentRevisionOption::CurrentRevision),
        ),
        position_option: Some(
            appended
                .position
                .map_or(PositionOption::NoPosition(()), |at| PositionOption::Position(position(at))),
        ),
    };
    wire::AppendResp { result: Some(Result::Success(success)) }
}

/// The answer says both in the words of 20.6.0 and in its own.
fn wrong_version(current: Option<u64>, expected: Expected) -> wire::AppendResp {
    use wire::append_resp::wrong_expected_version as is;
    let wrong = wire::append_resp::WrongExpectedVersion {
        current_revision_option_20_6_0: Some(current.map_or(
            is::CurrentRevisionOption2060::NoStream2060(()),
            is::CurrentRevisionOption2060::CurrentRevision2060,
        )),
        expected_revision_option_20_6_0: match expected {
            Expected::Revision(revision) => {
                Some(is::ExpectedRevisionOption2060::ExpectedRevision2060(revision))
            }
            Expected::Any => Some(is::ExpectedRevisionOption2060::Any2060(())),
            Expected::StreamExists => Some(is::ExpectedRevisionOption2060::StreamExists2060(())),
            Expected::NoStream => None,
        },
        current_revision_option: Some(current.map_or(
            is::CurrentRevisionOption::CurrentNoStream(()),
            is::CurrentRevisionOption::CurrentRevision,
        )),
        expected_revision_option: Some(match expected {
            Expected::Revision(revision) => is::ExpectedRevisionOption::ExpectedRevision(revision),
            Expected::Any => is::ExpectedRevisionOption::ExpectedAny(()),
            Expected::StreamExists => is::ExpectedRevisionOption::ExpectedStreamExists(()),
            Expected::NoStream => is::ExpectedRevisionOption::ExpectedNoStream(()),
        }),
    };
    wire::AppendResp { result: Some(wire::append_resp::Result::WrongExpectedVersion(wrong)) }
}
