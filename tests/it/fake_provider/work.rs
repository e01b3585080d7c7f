//! What is really produced for one request: token counts and text. The bill comes from here, never from what
//! an answer says about itself.

use super::behaviour::{Behaviour, Output, Prompt};
use super::request::ChatRequest;

/// Output limit of a request that carries none.
const DEFAULT_LIMIT: u64 = 4096;
/// Text per choice is at most a MiB, however many tokens are billed.
const MAX_UNITS: u64 = 256 * 1024;

/// Token counts of one call that runs to its end, and the text that goes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) prompt: u64,
    pub(super) cached: u64,
    pub(super) choices: u64,
    /// Per choice, reasoning included.
    pub(super) output: u64,
    /// Per choice.
    pub(super) reasoning: u64,
    /// Stopped by the limit of the request.
    pub(super) at_limit: bool,
    /// Text per choice, in units of 4 bytes.
    units: u64,
    multibyte: bool,
}

impl Work {
    pub(super) fn plan(behaviour: &Behaviour, request: &ChatRequest) -> Work {
        let prompt = match &behaviour.prompt {
            Prompt::QuarterOfBytes => (request.text_bytes / 4).max(1),
            Prompt::Exactly(tokens) => *tokens,
            Prompt::By(count) => count(request),
        };
        let limit = request.output_limit.unwrap_or(DEFAULT_LIMIT);
        let output = match behaviour.output {
            Output::Wanted(tokens) => tokens.min(limit),
            Output::PerMille(share) => (u128::from(limit) * u128::from(share) / 1000) as u64,
            Output::Regardless(tokens) => tokens,
        };
        let reasoning = behaviour.reasoning.min(output);
        let units = behaviour.shape.text_bytes.map_or(output - reasoning, |bytes| bytes.div_ceil(4));
        Work {
            prompt,
            cached: behaviour.cached.min(prompt),
            choices: request.choices,
            output,
            reasoning,
            at_limit: output >= limit,
            units: units.min(MAX_UNITS),
            multibyte: behaviour.shape.multibyte,
        }
    }

    /// Output tokens over all choices.
    pub(super) fn output_of_all(&self) -> u64 {
        self.output.saturating_mul(self.choices)
    }

    /// Reasoning tokens over all choices.
    pub(super) fn reasoning_of_all(&self) -> u64 {
        self.reasoning.saturating_mul(self.choices)
    }

    /// The visible tokens and the text of one of `of` parts of one choice; the parts add up exactly.
    pub(super) fn part(&self, index: u64, of: u64) -> (u64, String) {
        let visible = self.output - self.reasoning;
        let tokens = share(visible, index + 1, of) - share(visible, index, of);
        (tokens, self.text(share(self.units, index, of)..share(self.units, index + 1, of)))
    }

    /// The whole text of one choice.
    pub(super) fn whole_text(&self) -> String {
        self.text(0..self.units)
    }

    fn text(&self, units: std::ops::Range<u64>) -> String {
        const PLAIN: [&str; 5] = ["one ", "two ", "six ", "ten ", "all "];
        const MULTIBYTE: [&str; 5] = [" né", "日 ", "🦀", "ß½", "→ "];
        let words = if self.multibyte { MULTIBYTE } else { PLAIN };
        units.filter_map(|unit| words.get((unit % 5) as usize).copied()).collect()
    }

    /// OpenAI's usage object, with so many output tokens.
    pub(super) fn usage(&self, output: u64) -> String {
        let (prompt, cached, reasoning) = (self.prompt, self.cached, self.reasoning_of_all().min(output));
        let total = prompt.saturating_add(output);
        format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{output},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":{cached},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#
        )
    }
}

fn share(whole: u64, index: u64, of: u64) -> u64 {
    (u128::from(whole) * u128::from(index) / u128::from(of.max(1))) as u64
}
