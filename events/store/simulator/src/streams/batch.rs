//! A batch session: appends in pieces, told apart by their correlation ids, answered in the order in which they
//! were complete (`Streams.BatchAppend.cs` of the server's sources).

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::append::{Reply, size};
use super::{ANSWERS, Answers, Streams, record};
use crate::call::Call;
use crate::faults::Refusal;
use crate::log::{Appended, Expected, Write};
use crate::protocol as shared_wire;
use crate::protocol::streams as wire;
use crate::protocol::streams::batch_append_req::Options;
use crate::protocol::streams::batch_append_resp as answer;
use crate::statuses;

/// Appends that were read and wait for their turn, in one session.
const WAITING: usize = 1024;

type Sender = mpsc::Sender<Result<wire::BatchAppendResp, Status>>;

/// An append that is complete, or that can be refused already.
struct Complete {
    head: Head,
    write: Result<Write, Refusal>,
    arrived: Instant,
}

/// What the answer repeats of the request.
#[derive(Clone)]
struct Head {
    correlation_id: Option<shared_wire::Uuid>,
    stream_identifier: Option<shared_wire::StreamIdentifier>,
    expected: Expected,
}

impl Streams {
    pub(super) fn start_batch(
        &self,
        call: Call,
        requests: Streaming<wire::BatchAppendReq>,
    ) -> Answers<wire::BatchAppendResp> {
        let (answers, receiver) = mpsc::channel(ANSWERS);
        let session = self.clone();
        let open = self.shared.counters.open(
            |counts| {
                counts.batch_sessions += 1;
                counts.open_batch_sessions += 1;
            },
            |counts| counts.open_batch_sessions -= 1,
        );
        tokio::spawn(async move {
            let _open = open;
            tokio::select! {
                () = session.run(&call, requests, &answers) => {}
                () = call.until_deadline() => drop(answers.send(Err(statuses::deadline_exceeded())).await),
                () = call.link.until_cut() => {}
            }
        });
        ReceiverStream::new(receiver)
    }

    async fn run(&self, call: &Call, requests: Streaming<wire::BatchAppendReq>, answers: &Sender) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let receive = self.receive(requests, queue, answers);
        let work = self.work(call, waiting, answers);
        tokio::pin!(receive, work);
        // What was read is seen through, even when the client has left; a call that has ended reads no more.
        tokio::select! {
            () = &mut receive => work.await,
            () = &mut work => {}
        }
    }

    async fn receive(
        &self,
        mut requests: Streaming<wire::BatchAppendReq>,
        queue: mpsc::Sender<Complete>,
        answers: &Sender,
    ) {
        let mut pending = HashMap::new();
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                () = answers.closed() => return,
            };
            // A client that ends the call and a connection that is lost end the session alike.
            let Ok(Some(request)) = request else { return };
            let Some(complete) = self.assemble(&mut pending, request) else { continue };
            if complete.write.is_ok() {
                self.shared.counters.count(|counts| counts.appends_arrived += 1);
            }
            if queue.send(complete).await.is_err() {
                return;
            }
        }
    }

    /// Adds a piece; `Some` when the append is complete or cannot be one.
    fn assemble(
        &self,
        pending: &mut HashMap<Uuid, (Head, Write)>,
        request: wire::BatchAppendReq,
    ) -> Option<Complete> {
        let arrived = Instant::now();
        let options = request.options.as_ref();
        let head = Head {
            correlation_id: request.correlation_id.clone(),
            stream_identifier: options.and_then(|options| options.stream_identifier.clone()),
            expected: options.map_or(Expected::Any, expected),
        };
        let refused = |refusal| Some(Complete { head: head.clone(), write: Err(refusal), arrived });
        let id = match record::uuid(request.correlation_id) {
            Ok(id) => id,
            Err(refusal) => return refused(refusal),
        };
        if let Some(options) = request.options {
            if is_overdue(&options) {
                return refused(Refusal::Timeout);
            }
            match record::stream_name(options.stream_identifier) {
                Ok(stream) => {
                    let write = Write { stream, expected: head.expected, events: Vec::new() };
                    pending.entry(id).or_insert_with(|| (head.clone(), write));
                }
                Err(refusal) => return refused(refusal),
            }
        }
        let (_, write) = pending.get_mut(&id)?;
        for event in request.proposed_messages {
            match record::proposed(event.id, event.metadata, event.custom_metadata, event.data) {
                Ok(event) => write.events.push(event),
                Err(refusal) => return refused(refusal),
            }
        }
        if size(&write.events) > self.shared.options.max_append_bytes {
            let (head, _) = pending.remove(&id)?;
            return Some(Complete { head, write: Err(Refusal::TooLarge), arrived });
        }
        if !request.is_final {
            return None;
        }
        let (head, write) = pending.remove(&id)?;
        Some(Complete { head, write: Ok(write), arrived })
    }

    async fn work(&self, call: &Call, mut waiting: mpsc::Receiver<Complete>, answers: &Sender) {
        while let Some(Complete { head, write, arrived }) = waiting.recv().await {
            let reply = match write {
                Ok(write) => self.perform(call, write, arrived).await,
                Err(refusal) => Reply::Say(Err(refusal)),
            };
            // An answer that nobody takes any more is none.
            match reply {
                Reply::Say(outcome) => drop(answers.send(Ok(self.answer(head, outcome))).await),
                Reply::SayHalf(outcome) => {
                    let _ = answers.send(Ok(self.answer(head, outcome))).await;
                    call.link.until_cut().await;
                }
                Reply::Nothing => {}
                Reply::End(status) => {
                    let _ = answers.send(Err(status)).await;
                    return;
                }
                Reply::Finish => return,
            }
        }
    }

    fn answer(&self, head: Head, outcome: Result<Appended, Refusal>) -> wire::BatchAppendResp {
        let result = match outcome {
            Ok(appended) => answer::Result::Success(success(appended)),
            Err(refusal) => {
                let max = self.shared.options.max_append_bytes;
                answer::Result::Error(statuses::in_session(&refusal, head.expected, max))
            }
        };
        wire::BatchAppendResp {
            correlation_id: head.correlation_id,
            result: Some(result),
            // The client takes this for granted in every answer.
            stream_identifier: Some(head.stream_identifier.unwrap_or_default()),
            expected_stream_position: None,
        }
    }
}

fn success(appended: Appended) -> answer::Success {
    use answer::success::{CurrentRevisionOption, PositionOption};
    let position = |at| shared_wire::AllStreamPosition { commit_position: at, prepare_position: at };
    answer::Success {
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
    }
}

fn expected(options: &Options) -> Expected {
    use wire::batch_append_req::options::ExpectedStreamPosition as Wire;
    match options.expected_stream_position {
        Some(Wire::StreamPosition(revision)) => Expected::Revision(revision),
        Some(Wire::NoStream(())) => Expected::NoStream,
        Some(Wire::StreamExists(())) => Expected::StreamExists,
        Some(Wire::Any(())) | None => Expected::Any,
    }
}

/// The server compares a relative deadline, or what is left until an absolute one, with nothing. It takes the
/// smaller of this and its own write timeout, so the official client's absolute time in the relative field (some
/// fifty years) means the server's own.
fn is_overdue(options: &Options) -> bool {
    use wire::batch_append_req::options::DeadlineOption;
    match &options.deadline_option {
        Some(DeadlineOption::Deadline(left)) => left.seconds < 0 || (left.seconds == 0 && left.nanos <= 0),
        Some(DeadlineOption::Deadline21100(at)) => {
            let at =
                Duration::new(u64::try_from(at.seconds).unwrap_or(0), u32::try_from(at.nanos).unwrap_or(0));
            SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|now| now >= at)
        }
        None => false,
    }
}
