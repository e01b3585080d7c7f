//! Reads of one stream and of all streams (`Enumerator.Read*.cs` of the server's sources).

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{ANSWERS, Answers, Streams, record};
use crate::call::Call;
use crate::faults::{Calls, ReadFault};
use crate::filter::{Filter, READ_BATCH};
use crate::log::{InvalidPosition, Page, Recorded};
use crate::protocol as shared_wire;
use crate::protocol::streams as wire;
use crate::protocol::streams::read_req::Options;
use crate::protocol::streams::read_req::options::all_options::AllOption;
use crate::protocol::streams::read_req::options::stream_options::RevisionOption;
use crate::protocol::streams::read_req::options::{
    CountOption, FilterOption, ReadDirection, StreamOption, StreamOptions, UuidOption,
};
use crate::protocol::streams::read_resp::Content;
use crate::statuses;

pub(super) type Sender = mpsc::Sender<Result<wire::ReadResp, Status>>;

/// Nobody listens any more, or there is something to say instead.
pub(super) enum Stop {
    Gone,
    Status(Status),
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<InvalidPosition> for Stop {
    fn from(why: InvalidPosition) -> Self {
        Self::Status(statuses::invalid_position(why))
    }
}

/// Where a reader's answers go, how its ids are written, and what shall go wrong on the way.
pub(super) struct Reader {
    answers: Sender,
    uuids: Option<UuidOption>,
    fault: Mutex<Option<ReadFault>>,
}

impl Reader {
    pub(super) async fn say(&self, content: Content) -> Result<(), Stop> {
        self.answers.send(Ok(wire::ReadResp { content: Some(content) })).await.map_err(|_| Stop::Gone)
    }

    pub(super) async fn event(&self, event: &Recorded) -> Result<(), Stop> {
        if let Some(ReadFault::Fail { after, .. } | ReadFault::Cut { after }) =
            &mut *self.fault.lock().unwrap()
        {
            *after = after.checked_sub(1).ok_or(Stop::Gone)?;
        }
        self.say(Content::Event(record::read_event(event, self.uuids.as_ref()))).await
    }
}

/// Where in `$all` a read starts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Start,
    End,
    Position { commit: u64, prepare: u64 },
}

impl Streams {
    pub(super) fn start_read(
        &self,
        call: Call,
        request: wire::ReadReq,
    ) -> Result<Answers<wire::ReadResp>, Status> {
        let options = request.options.ok_or_else(|| Status::invalid_argument("options are required"))?;
        if options.uuid_option.is_none() {
            return Err(Status::invalid_argument("'uuidOption' is a required argument of type UUIDOption"));
        }
        if !call.is_allowed {
            return Err(statuses::access_denied());
        }
        if call.requires_leader {
            self.shared.check_leader(self.node)?;
        }
        let (answers, receiver) = mpsc::channel(ANSWERS);
        let reader = Reader { answers: answers.clone(), uuids: options.uuid_option, fault: Mutex::default() };
        let service = self.clone();
        tokio::spawn(async move {
            let stopped = tokio::select! {
                read = service.dispatch(&call, options, &reader) => read,
                () = call.until_deadline() => Err(Stop::Status(statuses::deadline_exceeded())),
                () = answers.closed() => Err(Stop::Gone),
                () = call.link.until_cut() => Err(Stop::Gone),
            };
            if let Err(Stop::Status(status)) = stopped {
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(ReceiverStream::new(receiver))
    }

    async fn dispatch(&self, call: &Call, options: Options, reader: &Reader) -> Result<(), Stop> {
        let forwards = options.read_direction() == ReadDirection::Forwards;
        let filter = match options.filter_option {
            Some(FilterOption::Filter(filter)) => Some(Filter::of(filter)?),
            Some(FilterOption::NoFilter(())) | None => None,
        };
        let compatibility = options.control_option.map_or(0, |control| control.compatibility);
        match (options.stream_option, options.count_option) {
            (Some(StreamOption::Stream(stream)), Some(CountOption::Count(count))) if filter.is_none() => {
                self.arrive(reader).await;
                let read = self.read_stream(stream, forwards, count, compatibility, reader).await;
                self.end(read, call, reader)
            }
            (Some(StreamOption::All(all)), Some(CountOption::Count(count))) => {
                self.arrive(reader).await;
                let read =
                    self.read_all(place(all.all_option), forwards, count, filter.as_ref(), reader).await;
                self.end(read, call, reader)
            }
            (Some(StreamOption::Stream(stream)), Some(CountOption::Subscription(_))) if filter.is_none() => {
                self.subscribe_to_stream(call, stream, reader).await
            }
            (Some(StreamOption::All(all)), Some(CountOption::Subscription(_))) if forwards => {
                self.subscribe_to_all(call, place(all.all_option), filter, reader).await
            }
            _ => Err(Status::invalid_argument("The combination of options is invalid.").into()),
        }
    }

    async fn arrive(&self, reader: &Reader) {
        let arrived = Instant::now();
        *reader.fault.lock().unwrap() = self.shared.faults.take_read();
        self.shared.counters.count(|counts| counts.reads += 1);
        self.shared.faults.pass(Calls::Reads).await;
        self.shared.travel(arrived).await;
    }

    /// Ends a read as its fault wants it, if it has one.
    fn end(&self, read: Result<(), Stop>, call: &Call, reader: &Reader) -> Result<(), Stop> {
        let Some(fault) = *reader.fault.lock().unwrap() else { return read };
        self.shared.counters.count(|counts| counts.faults += 1);
        match fault {
            ReadFault::Fail { code, .. } => Err(Status::new(code, "as the test wants it").into()),
            ReadFault::Cut { .. } => {
                call.link.cut();
                Err(Stop::Gone)
            }
        }
    }

    async fn read_stream(
        &self,
        options: StreamOptions,
        forwards: bool,
        count: u64,
        compatibility: u32,
        reader: &Reader,
    ) -> Result<(), Stop> {
        let name = stream_name(&options)?;
        let start = revision(options.revision_option)?;
        let (mut next, mut left, mut last) = (Some(start), count, 0);
        let mut is_empty = true;
        while let Some(from) = next.filter(|_| left > 0) {
            let limit = left.min(READ_BATCH as u64) as usize;
            let Some(page) = self.shared.log.read_stream(&name, from, forwards, limit) else {
                let stream_identifier = Some(identifier(&name));
                return reader
                    .say(Content::StreamNotFound(wire::read_resp::StreamNotFound { stream_identifier }))
                    .await;
            };
            if forwards && is_empty && page.events.is_empty() && compatibility >= 1 && from != page.last + 1 {
                reader.say(Content::FirstStreamPosition(page.last + 1)).await?;
            }
            is_empty &= page.events.is_empty();
            for event in &page.events {
                reader.event(event).await?;
            }
            left -= page.events.len() as u64;
            (next, last) = (page.next, page.last);
        }
        if compatibility >= 1 && count > 0 {
            reader.say(Content::LastStreamPosition(last)).await?;
        }
        Ok(())
    }

    async fn read_all(
        &self,
        from: Place,
        forwards: bool,
        count: u64,
        filter: Option<&Filter>,
        reader: &Reader,
    ) -> Result<(), Stop> {
        let end = *self.shared.log.end().borrow();
        let mut from = match from {
            Place::Start => (0, 0),
            Place::End => (end, end),
            Place::Position { commit, prepare } => (commit, prepare),
        };
        let mut left = count;
        while left > 0 {
            let page = self.page(from, forwards, left.min(READ_BATCH as u64) as usize, filter)?;
            for event in &page.events {
                reader.event(event).await?;
            }
            left -= page.events.len() as u64;
            if page.is_end {
                break;
            }
            from = (page.next, page.next);
        }
        Ok(())
    }

    pub(super) fn page(
        &self,
        from: (u64, u64),
        forwards: bool,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Page, InvalidPosition> {
        let window = filter.map_or(limit, |filter| filter.window);
        let wanted = |event: &Recorded| filter.is_none_or(|filter| filter.wants(event));
        if forwards {
            self.shared.log.read_forwards(from, limit, window, wanted)
        } else {
            self.shared.log.read_backwards(from, limit, window, wanted)
        }
    }
}

fn place(option: Option<AllOption>) -> Place {
    match option {
        Some(AllOption::Position(at)) => {
            Place::Position { commit: at.commit_position, prepare: at.prepare_position }
        }
        Some(AllOption::End(())) => Place::End,
        Some(AllOption::Start(())) | None => Place::Start,
    }
}

pub(super) fn stream_name(options: &StreamOptions) -> Result<Arc<str>, Status> {
    let name = record::stream_name(options.stream_identifier.clone())
        .map_err(|refusal| statuses::of_call(&refusal, 0))?;
    Ok(name.into())
}

/// Revisions are signed on the server's side; the largest means the end.
fn revision(option: Option<RevisionOption>) -> Result<u64, Status> {
    match option {
        Some(RevisionOption::End(()) | RevisionOption::Revision(u64::MAX)) => Ok(u64::MAX - 1),
        Some(RevisionOption::Revision(revision)) if i64::try_from(revision).is_err() => {
            Err(Status::invalid_argument(format!("'{revision}' is not a valid revision")))
        }
        Some(RevisionOption::Revision(revision)) => Ok(revision),
        Some(RevisionOption::Start(())) | None => Ok(0),
    }
}

fn identifier(name: &str) -> shared_wire::StreamIdentifier {
    shared_wire::StreamIdentifier { stream_name: name.as_bytes().to_vec().into() }
}
