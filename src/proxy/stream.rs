//! An answer that streams: events go out as they come, but for the last ones, which wait for the bill.

use std::time::{Duration, Instant};

use actix_web::http::header::CONTENT_ENCODING;
use bytes::Bytes;
use nemo_events::key::Ending;
use nemo_events::price::PriceCard;
use nemo_events::{CallId, Usage};
use nemo_projections::price::cost;
use tokio::time::timeout;

use super::call::{Answer, Interrupt};
use super::client::{Gone, Ours};
use super::estimate::Seen;
use super::forward::{Dispatch, Outcome};
use super::headers;
use super::metered::{Facts, Verdict, millis};
use super::provider_error;
use super::sse::{self, SseEvent, SseSplitter};
use crate::error::Failure;
use crate::ledger::{Authorized, EndAnswer, ExecuteError};
use crate::providers::openai::{ChatChunk, ChunkKind, StreamError, tokens_received, usage_chunk_with_cost};

/// No stream is longer than this; a provider that sends more is cut off.
const STREAM_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// A provider that had nothing to say for so long has nothing under way either.
const CAUGHT_UP: Duration = Duration::from_millis(500);
/// How long the last bytes may take to leave for a slow client. The bill is durable by then.
const TAIL_PATIENCE: Duration = Duration::from_secs(30);

/// How the stream came to its end.
enum End {
    /// `[DONE]` as it came; or nothing, where the connection ended after an answer that was complete.
    Done(Bytes),
    /// An error in the stream; it is the last thing that goes out.
    Error(Bytes),
    Broken,
    Silent,
    TooLong,
    ClientLeft,
    Interrupted(Interrupt),
}

/// What was seen of a stream so far.
#[derive(Default)]
struct Meter {
    usage: Option<Usage>,
    /// No output came after the usage was reported, and it did not come as a running total.
    usage_is_last: bool,
    /// A choice has come to its end.
    finished: bool,
    output_bytes: u64,
    bytes: u64,
    /// The client was slower than its provider, and what that made meanwhile, however much, may not all have been read
    /// yet: it lies in buffers between here and there.
    behind: bool,
    /// The last usage chunk's data, if the client asked for it.
    usage_chunk: Option<Bytes>,
}

/// The last events of a stream.
pub(super) struct Tail {
    call: CallId,
    usage_chunk: Option<Bytes>,
    last: Last,
}

enum Last {
    Done(Bytes),
    Event(Bytes),
    Failure(Failure),
    Nothing,
}

/// Relays a stream and meters it.
pub(super) async fn relay(
    dispatch: &mut Dispatch<'_>,
    authorized: &Authorized,
    started: Instant,
    mut response: reqwest::Response,
    mut facts: Facts,
    ours: &mut Ours,
) -> Outcome {
    let event = authorized.event();
    let provider = &dispatch.route.provider;
    if response.headers().get(CONTENT_ENCODING.as_str()).is_some_and(|value| value != "identity") {
        let verdict = Verdict::Estimated(Seen::Hidden, Ending::ProviderFailed);
        let failure = Failure::provider_failed(&provider.name, "sent an encoded answer");
        return Outcome::failed(verdict, facts, failure);
    }
    let mut head = headers::made(event);
    headers::room(&mut head, &authorized.room());
    if event.output_limit_set {
        headers::output_limit(&mut head, event.output_limit);
    }
    ours.start_stream(head);
    let (mut meter, mut splitter) = (Meter::default(), SseSplitter::new());
    let relayed =
        Relayed { response: &mut response, splitter: &mut splitter, meter: &mut meter, facts: &mut facts };
    let end = pass_on(dispatch, started, relayed, event.hidden_output, ours).await;
    // Closes the connection to the provider where it is not at its end.
    drop(response);
    // The start of an event that was cut off may be output too.
    meter.received(splitter.unfinished());
    crate::failpoint::reached("last-byte");
    let provider = &dispatch.route.provider.name;
    let usage = meter.usage.filter(|_| meter.usage_is_last || matches!(end, End::Done(_)));
    let seen = match end {
        // Nobody has counted what is in there, or still under way.
        End::TooLong => Seen::Hidden,
        End::Interrupted(_) if meter.behind => Seen::Hidden,
        _ => Seen::Tokens(tokens_received(meter.output_bytes)),
    };
    let (ending, last) = match end {
        End::Done(event) => (Ending::Completed, Last::Done(event)),
        End::Error(event) => (Ending::ProviderFailed, Last::Event(event)),
        End::Broken => (
            Ending::ProviderFailed,
            Last::Failure(Failure::provider_failed(provider, "broke off its answer")),
        ),
        End::TooLong => {
            let failure = Failure::provider_failed(provider, "sent more than an answer can be");
            (Ending::ProviderFailed, Last::Failure(failure))
        }
        End::Silent => (Ending::TimedOut, Last::Failure(Failure::provider_timeout(provider))),
        End::ClientLeft => (Ending::ClientLeft, Last::Nothing),
        End::Interrupted(interrupt) => (interrupt.ending(), Last::Failure(interrupt.failure(provider))),
    };
    let ending = if ours.is_gone() && ending == Ending::Completed { Ending::ClientLeft } else { ending };
    let verdict = match usage {
        Some(usage) => Verdict::Reported(usage, ending),
        None => Verdict::Estimated(seen, ending),
    };
    let usage_chunk = meter.usage_chunk.filter(|_| dispatch.prepared.chat.wants_usage);
    Outcome { verdict, facts, answer: Answer::Stream(Tail { call: event.call, usage_chunk, last }) }
}

/// A stream on its way through.
struct Relayed<'a> {
    response: &'a mut reqwest::Response,
    splitter: &'a mut SseSplitter,
    meter: &'a mut Meter,
    facts: &'a mut Facts,
}

/// Passes events on until the stream ends. A client that leaves ends it too, unless output may be hidden, or was not
/// read because the client was slow: then only the stream's end tells what it cost.
async fn pass_on(
    dispatch: &mut Dispatch<'_>,
    started: Instant,
    relayed: Relayed<'_>,
    hidden_output: bool,
    ours: &mut Ours,
) -> End {
    let Relayed { response, splitter, meter, facts } = relayed;
    let idle = dispatch.route.provider.timeouts.idle;
    let mut heard = true;
    loop {
        let asked = Instant::now();
        let chunk = tokio::select! {
            biased;
            interrupt = dispatch.interrupts.next() => return End::Interrupted(interrupt),
            () = ours.gone(), if heard => {
                if !hidden_output && !meter.behind {
                    return End::ClientLeft;
                }
                heard = false;
                continue;
            }
            chunk = timeout(idle, response.chunk()) => chunk,
        };
        meter.behind &= asked.elapsed() < CAUGHT_UP;
        let bytes = match chunk {
            Err(_) => return End::Silent,
            Ok(Err(_)) => return meter.without_done(),
            Ok(Ok(None)) => return at_the_end(splitter, meter, dispatch),
            Ok(Ok(Some(bytes))) => bytes,
        };
        if facts.first_byte_ms.is_none() {
            facts.first_byte_ms = Some(millis(started));
            crate::failpoint::reached("first-byte");
        } else {
            crate::failpoint::reached("mid-stream");
        }
        meter.bytes = meter.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if meter.bytes > STREAM_MAX_BYTES {
            return End::TooLong;
        }
        splitter.push(bytes);
        loop {
            let event = match splitter.next_event() {
                Err(_) => return End::TooLong,
                Ok(None) => break,
                Ok(Some(event)) => event,
            };
            match meter.take(event, &dispatch.route.card, facts, dispatch.route.provider.key.as_ref()) {
                Next::Hold => {}
                Next::End(end) => return end,
                Next::Pass(raw) if heard => {
                    meter.behind |= ours.is_slow();
                    let sent = tokio::select! {
                        biased;
                        interrupt = dispatch.interrupts.next() => return End::Interrupted(interrupt),
                        sent = ours.send(raw) => sent,
                    };
                    if sent == Err(Gone) {
                        if !hidden_output && !meter.behind {
                            return End::ClientLeft;
                        }
                        heard = false;
                    }
                }
                Next::Pass(_) => {}
            }
        }
    }
}

/// The connection ended. What is left of an event may still be the usage that a sloppy provider did not
/// terminate.
fn at_the_end(splitter: &mut SseSplitter, meter: &mut Meter, dispatch: &Dispatch<'_>) -> End {
    if let Some(event) = std::mem::take(splitter).finish() {
        let mut facts = Facts::default();
        let taken = meter.take(event, &dispatch.route.card, &mut facts, dispatch.route.provider.key.as_ref());
        if let Next::End(end) = taken {
            return end;
        }
    }
    meter.without_done()
}

/// What to do with an event.
enum Next {
    /// It goes out now.
    Pass(Bytes),
    /// It waits for the bill, or was not asked for.
    Hold,
    /// It is the last one.
    End(End),
}

impl Meter {
    /// So many bytes that are output, or may be.
    fn received(&mut self, bytes: usize) {
        self.output_bytes = self.output_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// What the connection's end means where no `[DONE]` came before it.
    fn without_done(&self) -> End {
        if self.finished && self.usage_is_last { End::Done(Bytes::new()) } else { End::Broken }
    }

    fn take(
        &mut self,
        event: SseEvent,
        card: &PriceCard,
        facts: &mut Facts,
        key: Option<&crate::auth::provider_key::ProviderKey>,
    ) -> Next {
        let Some(data) = event.data else {
            // Comments keep a connection alive; anything else may be an answer of another shape.
            if !sse::is_comment(&event.raw) {
                self.received(event.raw.len());
            }
            return Next::Pass(event.raw);
        };
        let Ok(chunk) = ChatChunk::read(&data) else {
            // Not of the known shape: all of it counts as output.
            self.received(data.len());
            return Next::Pass(event.raw);
        };
        let output_bytes = chunk.output_bytes();
        self.output_bytes = self.output_bytes.saturating_add(output_bytes);
        self.usage_is_last &= output_bytes == 0;
        self.finished |= chunk.finished;
        if let Some(Ok(usage)) = chunk.usage {
            self.usage = Some(self.usage.map_or(usage, |earlier| dearer(card, earlier, usage)));
            self.usage_is_last = chunk.finished || chunk.kind == ChunkKind::Usage;
        }
        if facts.provider_request.is_none() {
            facts.provider_request = chunk.id.as_ref().and_then(|id| provider_error::id(id, key));
        }
        match chunk.kind {
            ChunkKind::Done => Next::End(End::Done(event.raw)),
            ChunkKind::Error => {
                let told = provider_error::body("provider", 200, &data, key);
                Next::End(End::Error(sse::event(told.to_string().as_bytes())))
            }
            ChunkKind::Usage => {
                self.usage_chunk = Some(data);
                Next::Hold
            }
            ChunkKind::Content | ChunkKind::Other => Next::Pass(event.raw),
        }
    }
}

/// Of two reports in one stream the one that costs more: running totals grow, and a provider that says two
/// things may bill either.
fn dearer(card: &PriceCard, earlier: Usage, later: Usage) -> Usage {
    match (cost(card, &earlier), cost(card, &later)) {
        (Ok(before), Ok(after)) if before > after => earlier,
        (Ok(_), Err(_)) => earlier,
        _ => later,
    }
}

impl Tail {
    /// Sends the last events, now that the bill is durable; or says that it is not.
    pub(super) async fn finish(self, ours: &mut Ours, settled: Result<EndAnswer, ExecuteError>) {
        // A client that does not read its last bytes must not keep the call's task for ever.
        let _ = timeout(TAIL_PATIENCE, self.send(ours, settled)).await;
    }

    async fn send(self, ours: &mut Ours, settled: Result<EndAnswer, ExecuteError>) -> Result<(), Gone> {
        let end = match settled {
            Ok(end) => end,
            Err(error) => return ours.send(error_event(&Failure::from(&error), self.call)).await,
        };
        if let Some(data) = self.usage_chunk {
            let chunk = usage_chunk_with_cost(&data, &end.charged.to_string());
            ours.send(sse::event(&chunk)).await?;
        }
        match self.last {
            Last::Done(event) if event.is_empty() => ours.send(Bytes::from_static(b"data: [DONE]\n\n")).await,
            Last::Done(event) | Last::Event(event) => ours.send(event).await,
            Last::Failure(failure) => ours.send(error_event(&failure, self.call)).await,
            Last::Nothing => Ok(()),
        }
    }
}

/// An error inside a stream, in OpenAI's dialect.
fn error_event(failure: &Failure, call: CallId) -> Bytes {
    let message = format!("{} (call {call})", failure.message);
    StreamError { message: &message, kind: failure.kind(), param: None, code: Some(failure.code) }.event()
}
