//! OpenAI's chat completions dialect, as far as money goes: what a request can cost at most, what an answer
//! says it did cost, and how a stream's events are told apart. Pure; all else of the dialect passes through.
//!
//! - [`ChatRequest`] reads the fields that bear on the price and refuses those that nobody understands;
//!   [`ChatRequest::outgoing`] is the body that the provider gets.
//! - [`InputBound`] and [`exact_input_tokens`] bound the tokens in, [`tokens_received`] and [`count_text`] the
//!   tokens out of an answer without usage.
//! - [`ChatAnswer`] and [`ChatChunk`] read bodies and streamed events, [`read_usage`] their usage.
//! - [`usage_chunk_with_cost`] and [`StreamError`] are the only things that are written into a stream.

mod answer;
mod fields;
mod input;
mod outgoing;
mod request;
mod schema;
mod stream;
mod strings;
mod usage;

pub use self::answer::{AnswerError, ChatAnswer, ChatChunk, ChunkKind};
pub use self::fields::{FieldError, InertFields, understood_fields};
pub use self::input::{InputBound, count_text, exact_input_tokens, tokens_received};
pub use self::outgoing::{Flavour, OutputLimitField, ServiceTier};
pub use self::request::{ChatRequest, LimitField};
pub use self::stream::{StreamError, usage_chunk_with_cost};
pub use self::usage::{UsageError, read_usage};
