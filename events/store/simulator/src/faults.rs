//! What shall go wrong, and when.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tonic::Code;

use crate::log::{Log, Write};

/// What happens to an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendFault {
    /// Refused with a wrong expected version, although the stream is as expected. Not written.
    Conflict,
    /// Refused in the server's words. Not written.
    Refuse(Refusal),
    /// The call ends with this status. Not written.
    Fail(Code),
    /// The connection is cut while the request arrives, before any of it is understood. Not written.
    CutBeforeReading,
    /// The request is read, then the connection is cut. Not written.
    CutBeforeCommit,
    /// Written, then the connection is cut: the acknowledgement is lost.
    CutAfterCommit,
    /// Written, then the connection is cut in the middle of the answer.
    CutMidAnswer,
    /// Written, but never answered; the connection stays.
    SilentAfterCommit,
    /// Neither written nor answered; the connection stays.
    Silent,
    /// The call ends without an answer and without an error, as a server's that shuts down. Not written.
    EndSession,
    /// Answered like this now, written only when [`Simulator::commit_late`](crate::Simulator::commit_late) says so.
    LateCommit(LateAnswer),
    /// As if nothing had happened, but later by so much.
    Slow(Duration),
}

/// What happens to a read of a stream or of all streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFault {
    /// It ends with this status behind so many events, or at its end if it has fewer.
    Fail {
        /// How many events the reader gets before.
        after: usize,
        /// The status.
        code: Code,
    },
    /// Its connection is cut there; what was just sent may be lost too.
    Cut {
        /// How many events the reader gets before, at most.
        after: usize,
    },
}

/// How the server refuses an append in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The stream's last revision is another one; `None`: it has no event.
    WrongExpectedVersion {
        /// What the server says that the last revision is.
        current: Option<u64>,
    },
    /// The credentials do not suffice.
    AccessDenied,
    /// The append was not committed in time, and may still be.
    Timeout,
    /// Larger than `MaxAppendSize`.
    TooLarge,
    /// `Server Is Busy`.
    Busy,
    /// `Server Is Not Ready`.
    NotReady,
    /// Whatever else goes wrong in a server.
    Unknown,
    /// The request is not well-formed.
    BadRequest(String),
}

/// What a client hears of an append that is committed late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateAnswer {
    /// Nothing; the connection stays.
    Nothing,
    /// That it timed out.
    Timeout,
    /// The connection is cut.
    Cut,
}

/// What can hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Appends: neither written nor answered until released, and never if their connection has ended by then.
    Appends,
    /// Reads of a stream or of all streams.
    Reads,
    /// Subscriptions: they are opened, but deliver nothing.
    Subscriptions,
    /// The whole server: connections are accepted by the system, but nothing is read or written.
    Everything,
}

struct Rule {
    stream_prefix: String,
    fault: AppendFault,
    /// How often it still applies.
    times: u64,
}

#[derive(Default)]
pub(crate) struct Faults {
    rules: Mutex<VecDeque<Rule>>,
    late: Mutex<Vec<Write>>,
    reads: Mutex<VecDeque<ReadFault>>,
    latency: Mutex<Duration>,
    appends_hang: watch::Sender<bool>,
    reads_hang: watch::Sender<bool>,
    subscriptions_hang: watch::Sender<bool>,
    frozen: watch::Sender<bool>,
}

impl Faults {
    pub(crate) fn push(&self, stream_prefix: &str, times: u64, fault: AppendFault) {
        self.rules.lock().unwrap().push_back(Rule { stream_prefix: stream_prefix.to_owned(), fault, times });
    }

    pub(crate) fn clear(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// The fault for the next append to this stream, if there is one.
    pub(crate) fn take(&self, stream: &str) -> Option<AppendFault> {
        let mut rules = self.rules.lock().unwrap();
        let place = rules.iter().position(|rule| {
            rule.fault != AppendFault::CutBeforeReading && stream.starts_with(&rule.stream_prefix)
        })?;
        take_at(&mut rules, place)
    }

    /// Whether the request that arrives is to be cut off, whatever it holds.
    pub(crate) fn take_before_reading(&self) -> bool {
        let mut rules = self.rules.lock().unwrap();
        // Nothing is known of the request yet, so only the rule whose turn it is counts.
        let is_next = rules.front().is_some_and(|rule| rule.fault == AppendFault::CutBeforeReading);
        is_next && take_at(&mut rules, 0).is_some()
    }

    pub(crate) fn push_read(&self, fault: ReadFault) {
        self.reads.lock().unwrap().push_back(fault);
    }

    /// The fault for the next read, if there is one.
    pub(crate) fn take_read(&self) -> Option<ReadFault> {
        self.reads.lock().unwrap().pop_front()
    }

    pub(crate) fn hold(&self, write: Write) {
        self.late.lock().unwrap().push(write);
    }

    /// Commits what waits, in order, as far as it still can be, and returns how many events each of those had that
    /// were written.
    pub(crate) fn commit_late(&self, log: &Log) -> Vec<usize> {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        let commit = |write: Write| {
            let events = write.events.len();
            log.append_now(write).ok().filter(|appended| !appended.again).map(|_| events)
        };
        late.into_iter().filter_map(commit).collect()
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        *self.latency.lock().unwrap() = latency;
    }

    pub(crate) fn latency(&self) -> Duration {
        *self.latency.lock().unwrap()
    }

    pub(crate) fn hang(&self, calls: Calls, hang: bool) {
        self.gate(calls).send_replace(hang);
    }

    /// Comes back once such calls do not hang.
    pub(crate) async fn pass(&self, calls: Calls) {
        // An error means that the simulator is gone, and with it the caller.
        let _ = self.gate(calls).subscribe().wait_for(|hang| !hang).await;
    }

    pub(crate) fn frozen(&self) -> watch::Receiver<bool> {
        self.frozen.subscribe()
    }

    fn gate(&self, calls: Calls) -> &watch::Sender<bool> {
        match calls {
            Calls::Appends => &self.appends_hang,
            Calls::Reads => &self.reads_hang,
            Calls::Subscriptions => &self.subscriptions_hang,
            Calls::Everything => &self.frozen,
        }
    }
}

fn take_at(rules: &mut VecDeque<Rule>, place: usize) -> Option<AppendFault> {
    let rule = rules.get_mut(place)?;
    rule.times = rule.times.saturating_sub(1);
    let fault = rule.fault.clone();
    if rule.times == 0 {
        rules.remove(place);
    }
    Some(fault)
}
