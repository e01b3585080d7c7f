//! What the fake provider does with one request: how much work it does, what it says about it, how fast, and
//! where the connection breaks. Plain data with a builder; a default [`Behaviour`] is an honest provider.
//!
//! What is billed, by rule: 2xx answers for the tokens really produced; a request that was read and then hung
//! or reset, its prompt; 3xx, 4xx, 5xx, refused and unread connections, nothing. [`Behaviour::unbilled`]
//! bills nothing at all.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::request::ChatRequest;

/// What to do with one chat request. `Behaviour::default()`: an honest success, a quarter of the text's bytes
/// as prompt tokens, 16 output tokens (or the request's limit, if lower), 4 content chunks when streamed, no
/// delays.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(super) answer: Answer,
    pub(super) prompt: Prompt,
    pub(super) output: Output,
    pub(super) cached: u64,
    pub(super) reasoning: u64,
    pub(super) report: Report,
    pub(super) pace: Pace,
    pub(super) shape: Shape,
    pub(super) break_at: Option<(At, How)>,
    pub(super) error_after: Option<usize>,
    pub(super) never_billed: bool,
    pub(super) finishes_unheard: bool,
}

/// The kind of answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Completion,
    Status { status: u16, retry_after: Option<u64>, leaks_key: bool },
    Redirect { status: u16 },
    Raw { status: u16, content_type: String, body: Bytes },
    Flood { megabytes: usize, in_lines: bool },
}

/// How many prompt tokens the request counts as.
#[derive(Clone)]
pub(super) enum Prompt {
    QuarterOfBytes,
    Exactly(u64),
    By(Arc<dyn Fn(&ChatRequest) -> u64 + Send + Sync>),
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Prompt::QuarterOfBytes => f.write_str("QuarterOfBytes"),
            Prompt::Exactly(tokens) => write!(f, "Exactly({tokens})"),
            Prompt::By(_) => f.write_str("By(..)"),
        }
    }
}

/// How many tokens each choice gets; `PerMille` is a share of the request's own limit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    Wanted(u64),
    PerMille(u64),
    Regardless(u64),
}

/// What the answer says about usage; what is *billed* never depends on it.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    /// The truth, where OpenAI puts it: in the body; in a stream as the last chunk before `[DONE]`, if asked
    /// for.
    Truth,
    /// No usage at all (and no `"usage":null` either).
    Nothing,
    /// This JSON text in place of the usage object, verbatim: `{"prompt_tokens":-5}`, `"many"`, `1e18` …
    Json(String),
    /// First this JSON text, then the truth: two usage chunks in a stream, a duplicate member in a body.
    TwiceFirst(String),
    /// The truth, but before the content; nothing at the end. (In a body: the truth.)
    Early,
    /// Running totals on every chunk of a stream, and the truth at the end. (In a body: the truth.)
    Running,
}

impl Report {
    /// A usage object with these two numbers, whatever they are: `Report::numbers("-5", "1e18")`.
    pub(crate) fn numbers(prompt: &str, completion: &str) -> Report {
        Report::Json(format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{completion}}}"#
        ))
    }
}

/// Where an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// As soon as the connection is accepted (a kept-alive connection: at the next request's first byte). Not
    /// billed.
    Accept,
    /// When the first byte of the request has arrived, without reading it: the client sees a reset. Not
    /// billed.
    Unread,
    /// When the request is fully read, before any answer.
    Read,
    /// After the response head.
    Head,
    /// After so many chunks. In a stream 1 is the role chunk, 2 the first content chunk; a body comes in two
    /// halves.
    Chunk(usize),
    /// After the first half of the bytes of that chunk.
    Inside(usize),
    /// Before the last chunk: `[DONE]` of a stream, the second half of a body.
    BeforeLast,
}

/// How it breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// FIN: the connection is closed in an orderly way, the HTTP body is not ended.
    Close,
    /// The HTTP body is ended properly (terminating chunk) as if that were all; with a length: as `Close`.
    End,
    /// RST.
    Reset,
    /// Silence until the client hangs up.
    Hang,
}

/// Delays.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pub(super) first_byte: Duration,
    pub(super) each_chunk: Duration,
    pub(super) trickle: Option<Duration>,
}

/// How the bytes look.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) chunks: u64,
    pub(super) text_bytes: Option<u64>,
    pub(super) multibyte: bool,
    pub(super) tool_call: bool,
    pub(super) crlf: bool,
    pub(super) comments: bool,
    pub(super) split_every: Option<usize>,
    pub(super) one_write: bool,
    pub(super) body_chunked: bool,
    pub(super) missing_bytes: u64,
    pub(super) content_type: Option<String>,
    pub(super) claims_gzip: bool,
    pub(super) malformed: bool,
    pub(super) closes: bool,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            answer: Answer::Completion,
            prompt: Prompt::QuarterOfBytes,
            output: Output::Wanted(16),
            cached: 0,
            reasoning: 0,
            report: Report::Truth,
            pace: Pace::default(),
            shape: Shape::default(),
            break_at: None,
            error_after: None,
            never_billed: false,
            finishes_unheard: false,
        }
    }
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            chunks: 4,
            text_bytes: None,
            multibyte: false,
            tool_call: false,
            crlf: false,
            comments: false,
            split_every: None,
            one_write: false,
            body_chunked: false,
            missing_bytes: 0,
            content_type: None,
            claims_gzip: false,
            malformed: false,
            closes: false,
        }
    }
}

/// Whole behaviours.
impl Behaviour {
    /// An honest success with these token counts (output still bounded by the request's own limit).
    pub(crate) fn success(prompt_tokens: u64, output_tokens: u64) -> Behaviour {
        Behaviour::default().prompt_tokens(prompt_tokens).output_tokens(output_tokens)
    }

    /// The dearest honest call: this many prompt tokens, and exactly the output limit that the request
    /// carries, times n.
    pub(crate) fn full_hold(prompt_tokens: u64) -> Behaviour {
        Behaviour { output: Output::PerMille(1000), ..Behaviour::default() }.prompt_tokens(prompt_tokens)
    }

    /// A tenth of [`Behaviour::full_hold`]: a tenth of these prompt tokens and of the request's output limit.
    pub(crate) fn tenth_of_hold(prompt_tokens: u64) -> Behaviour {
        Behaviour { output: Output::PerMille(100), ..Behaviour::default() }.prompt_tokens(prompt_tokens / 10)
    }

    /// An error status with OpenAI's error body. Not billed.
    pub(crate) fn error(status: u16) -> Behaviour {
        Behaviour::answering(Answer::Status { status, retry_after: None, leaks_key: false })
    }

    /// 429 with `retry-after`. Not billed.
    pub(crate) fn rate_limited(retry_after_secs: u64) -> Behaviour {
        Behaviour::answering(Answer::Status {
            status: 429,
            retry_after: Some(retry_after_secs),
            leaks_key: false,
        })
    }

    /// An error whose body and one of whose headers repeat the full provider key that the request carried.
    pub(crate) fn error_leaking_the_key(status: u16) -> Behaviour {
        Behaviour::answering(Answer::Status { status, retry_after: None, leaks_key: true })
    }

    /// A redirect (301, 302, 303, 307, 308) to this provider itself; see `FakeProvider::redirects_followed`.
    pub(crate) fn redirect(status: u16) -> Behaviour {
        Behaviour::answering(Answer::Redirect { status })
    }

    /// Any status and body. Billed like a success if the status is 2xx.
    pub(crate) fn raw(status: u16, content_type: &str, body: impl Into<Bytes>) -> Behaviour {
        Behaviour::answering(Answer::Raw { status, content_type: content_type.to_owned(), body: body.into() })
    }

    /// 200 whose JSON is cut short (one chunk's JSON in a stream), with correct framing.
    pub(crate) fn malformed_json() -> Behaviour {
        Behaviour::default().shaped(|shape| shape.malformed = true)
    }

    /// 200 with so many megabytes of padding as content, in many chunks (of 64 KiB) or one JSON body.
    pub(crate) fn flood(megabytes: usize) -> Behaviour {
        Behaviour::answering(Answer::Flood { megabytes, in_lines: true })
    }

    /// As [`Behaviour::flood`], but a stream is one single line without an end.
    pub(crate) fn endless_line(megabytes: usize) -> Behaviour {
        Behaviour::answering(Answer::Flood { megabytes, in_lines: false })
    }

    /// Breaks off at a point instead of finishing.
    pub(crate) fn breaking(at: At, how: How) -> Behaviour {
        Behaviour::default().breaks(at, how)
    }

    fn answering(answer: Answer) -> Behaviour {
        Behaviour { answer, ..Behaviour::default() }
    }
}

/// How much work is done, and what is said and charged about it.
impl Behaviour {
    /// Counts the prompt as so many tokens.
    pub(crate) fn prompt_tokens(self, tokens: u64) -> Behaviour {
        Behaviour { prompt: Prompt::Exactly(tokens), ..self }
    }

    /// Counts prompt tokens by the test's own function of the request (such as Nemo's bound).
    pub(crate) fn prompt_tokens_by(
        self,
        count: impl Fn(&ChatRequest) -> u64 + Send + Sync + 'static,
    ) -> Behaviour {
        Behaviour { prompt: Prompt::By(Arc::new(count)), ..self }
    }

    /// Generates so many tokens per choice, at most the request's own limit.
    pub(crate) fn output_tokens(self, tokens: u64) -> Behaviour {
        Behaviour { output: Output::Wanted(tokens), ..self }
    }

    /// Generates (and bills) so many tokens per choice whatever limit the request carries.
    pub(crate) fn output_tokens_regardless(self, tokens: u64) -> Behaviour {
        Behaviour { output: Output::Regardless(tokens), ..self }
    }

    /// So many of the prompt tokens (at most all) come from the cache.
    pub(crate) fn cached_tokens(self, tokens: u64) -> Behaviour {
        Behaviour { cached: tokens, ..self }
    }

    /// So many of each choice's tokens (at most all) are hidden reasoning, generated before any text.
    pub(crate) fn reasoning_tokens(self, tokens: u64) -> Behaviour {
        Behaviour { reasoning: tokens, ..self }
    }

    /// What the answer says about usage.
    pub(crate) fn reports(self, report: Report) -> Behaviour {
        Behaviour { report, ..self }
    }

    /// Bills nothing for this call, whatever happens (a provider that does not charge when it hangs, say).
    pub(crate) fn unbilled(self) -> Behaviour {
        Behaviour { never_billed: true, ..self }
    }

    /// Generates, and bills, to the end even when the client has hung up, as some providers do.
    pub(crate) fn finishes_unheard(self) -> Behaviour {
        Behaviour { finishes_unheard: true, ..self }
    }
}

/// When and where it breaks.
impl Behaviour {
    /// Waits so long, the request read, before the first byte of the answer.
    pub(crate) fn first_byte_after(mut self, delay: Duration) -> Behaviour {
        self.pace.first_byte = delay;
        self
    }

    /// Waits so long before each chunk (each half of a body).
    pub(crate) fn each_chunk_after(mut self, delay: Duration) -> Behaviour {
        self.pace.each_chunk = delay;
        self
    }

    /// Sends one byte at a time, head included, with this delay after each (`Duration::ZERO`: only a yield).
    pub(crate) fn trickle(mut self, delay: Duration) -> Behaviour {
        self.pace.trickle = Some(delay);
        self
    }

    /// Breaks off at that point, in that way; billed for what was generated until then.
    pub(crate) fn breaks(self, at: At, how: How) -> Behaviour {
        Behaviour { break_at: Some((at, how)), ..self }
    }

    /// After so many chunks of a stream sends `data: {"error":…}` and ends the body without usage and
    /// `[DONE]`; a body is `{"error":…}` with status 200. Billed for what was generated until then.
    pub(crate) fn error_event_after(self, chunks: usize) -> Behaviour {
        Behaviour { error_after: Some(chunks), ..self }
    }
}

/// What the bytes look like.
impl Behaviour {
    /// Streams each choice's content in so many chunks (at least 1; each gets its share of the tokens).
    pub(crate) fn chunks(self, chunks: u64) -> Behaviour {
        self.shaped(|shape| shape.chunks = chunks.max(1))
    }

    /// Text of so many bytes (rounded up to 4, at most 1 MiB) per choice, instead of 4 bytes per visible
    /// token.
    pub(crate) fn text_bytes(self, bytes: u64) -> Behaviour {
        self.shaped(|shape| shape.text_bytes = Some(bytes))
    }

    /// Text of two-, three- and four-byte characters; still 4 bytes per token.
    pub(crate) fn multibyte(self) -> Behaviour {
        self.shaped(|shape| shape.multibyte = true)
    }

    /// The output is the arguments of a tool call, not content.
    pub(crate) fn in_tool_call(self) -> Behaviour {
        self.shaped(|shape| shape.tool_call = true)
    }

    /// Ends the lines of a stream with CR LF.
    pub(crate) fn crlf(self) -> Behaviour {
        self.shaped(|shape| shape.crlf = true)
    }

    /// A comment line `: keep-alive` before each event of a stream.
    pub(crate) fn comments(self) -> Behaviour {
        self.shaped(|shape| shape.comments = true)
    }

    /// Cuts what is sent into HTTP chunks of so many bytes, through `data:` and through characters.
    pub(crate) fn split_every(self, bytes: usize) -> Behaviour {
        self.shaped(|shape| shape.split_every = Some(bytes.max(1)))
    }

    /// Everything after the head in one piece (with `split_every`: pieces that straddle events). No
    /// `MidStream` phases.
    pub(crate) fn one_write(self) -> Behaviour {
        self.shaped(|shape| shape.one_write = true)
    }

    /// A JSON body with `transfer-encoding: chunked` in place of its length.
    pub(crate) fn body_chunked(self) -> Behaviour {
        self.shaped(|shape| shape.body_chunked = true)
    }

    /// Announces a `content-length` larger by so many bytes than the body, then closes.
    pub(crate) fn missing_bytes(self, bytes: u64) -> Behaviour {
        self.shaped(|shape| shape.missing_bytes = bytes)
    }

    /// Another `content-type` than the right one.
    pub(crate) fn content_type(self, value: &str) -> Behaviour {
        self.shaped(|shape| shape.content_type = Some(value.to_owned()))
    }

    /// Claims `content-encoding: gzip` over plain bytes.
    pub(crate) fn claims_gzip(self) -> Behaviour {
        self.shaped(|shape| shape.claims_gzip = true)
    }

    /// Answers with `connection: close` and closes after the answer.
    pub(crate) fn closes(self) -> Behaviour {
        self.shaped(|shape| shape.closes = true)
    }

    fn shaped(mut self, change: impl FnOnce(&mut Shape)) -> Behaviour {
        change(&mut self.shape);
        self
    }
}

impl Behaviour {
    /// Whether the connection breaks before the request is read; such a behaviour is taken before there is a
    /// request.
    pub(super) fn unread(&self) -> Option<(At, How)> {
        self.break_at.filter(|(at, _)| matches!(at, At::Accept | At::Unread))
    }

    /// Whether the rule at the top of this module lets this be billed.
    pub(super) fn is_billed(&self) -> bool {
        let works = match &self.answer {
            Answer::Completion | Answer::Flood { .. } => true,
            Answer::Raw { status, .. } => (200..300).contains(status),
            Answer::Status { .. } | Answer::Redirect { .. } => false,
        };
        works && !self.never_billed && self.unread().is_none()
    }
}
