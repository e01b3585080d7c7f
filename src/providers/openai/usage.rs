//! A `usage` object as OpenAI's dialect reports it, made into disjoint kinds.
//!
//! Prompt tokens include what was cached, spoken or seen; completion tokens include reasoning and speech.
//! Where the report leaves open how parts overlap, or leaves output out, the dearer reading is taken.

use nemo_events::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The largest whole number that every JSON reader agrees on.
const LARGEST: u64 = 1 << 53;

/// Why reported usage cannot be billed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// Not an object of the known shape, or a member twice.
    #[error("usage is not an object of the known shape")]
    Shape,
    /// A count that is missing.
    #[error("usage has no {0}")]
    Missing(&'static str),
    /// A count that is negative, a fraction, text, or beyond 2^53.
    #[error("usage has a {0} that is no count")]
    NotACount(&'static str),
    /// A part that is larger than the whole.
    #[error("usage has a {0} larger than the count that includes it")]
    PartExceedsWhole(&'static str),
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    total_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_tokens_details: Option<PromptDetails<'a>>,
    #[serde(borrow)]
    completion_tokens_details: Option<CompletionDetails<'a>>,
    /// DeepSeek's name for cached tokens.
    #[serde(borrow)]
    prompt_cache_hit_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct PromptDetails<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    audio_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    image_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct CompletionDetails<'a> {
    #[serde(borrow)]
    reasoning_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    audio_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    image_tokens: Option<&'a RawValue>,
}

/// Reads the JSON text of a `usage` member. Members that are not known are ignored, `null` is absent.
///
/// # Errors
/// [`UsageError`]: what was used is then not known from this.
pub fn read_usage(raw: &str) -> Result<Usage, UsageError> {
    if !raw.trim_ascii_start().starts_with('{') {
        return Err(UsageError::Shape);
    }
    let wire: Wire<'_> = serde_json::from_str(raw).map_err(|_| UsageError::Shape)?;
    let prompt = count("prompt_tokens", wire.prompt_tokens)?.ok_or(UsageError::Missing("prompt_tokens"))?;
    let completion = count("completion_tokens", wire.completion_tokens)?
        .ok_or(UsageError::Missing("completion_tokens"))?;
    let total = count("total_tokens", wire.total_tokens)?;
    let cache_hit = count("prompt_cache_hit_tokens", wire.prompt_cache_hit_tokens)?;
    let usage = with_input(prompt, cache_hit, &wire.prompt_tokens_details.unwrap_or_default())?;
    // xAI and Gemini leave reasoning out of the completion tokens and only count it in the total.
    let output = completion.max(total.unwrap_or(0).saturating_sub(prompt));
    with_output(usage, output, &wire.completion_tokens_details.unwrap_or_default())
}

/// Splits prompt tokens. Cached speech may be reported as both; it is then charged as speech. Cached images are
/// charged as cached: few cards price images apart, and there it is exact.
fn with_input(prompt: u64, cache_hit: Option<u64>, details: &PromptDetails<'_>) -> Result<Usage, UsageError> {
    let cached = part("cached_tokens", details.cached_tokens, prompt)?;
    let cached = cached.max(within("prompt_cache_hit_tokens", cache_hit.unwrap_or(0), prompt)?);
    let written = part("cache_write_tokens", details.cache_write_tokens, prompt)?;
    let audio = part("audio_tokens", details.audio_tokens, prompt)?;
    let image = part("image_tokens", details.image_tokens, prompt)?;
    let mut rest = prompt;
    let mut take = |tokens: u64| {
        let taken = tokens.min(rest);
        rest = rest.saturating_sub(taken);
        taken
    };
    let (input_audio, cache_write) = (take(audio), take(written));
    let (cache_read, input_image) = (take(cached), take(image));
    Ok(Usage { input: rest, cache_read, cache_write, input_audio, input_image, ..Usage::default() })
}

fn with_output(usage: Usage, output: u64, details: &CompletionDetails<'_>) -> Result<Usage, UsageError> {
    let reasoning = part("reasoning_tokens", details.reasoning_tokens, output)?;
    let output_audio = part("audio_tokens", details.audio_tokens, output)?;
    let text = output.saturating_sub(output_audio);
    let output_image = part("image_tokens", details.image_tokens, text)?;
    let output = text.saturating_sub(output_image);
    Ok(Usage { output, output_audio, output_image, reasoning: reasoning.min(output), ..usage })
}

fn part(name: &'static str, raw: Option<&RawValue>, whole: u64) -> Result<u64, UsageError> {
    within(name, count(name, raw)?.unwrap_or(0), whole)
}

fn within(name: &'static str, tokens: u64, whole: u64) -> Result<u64, UsageError> {
    if tokens > whole { Err(UsageError::PartExceedsWhole(name)) } else { Ok(tokens) }
}

fn count(name: &'static str, raw: Option<&RawValue>) -> Result<Option<u64>, UsageError> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(None) };
    match raw.get().parse::<u64>() {
        Ok(tokens) if tokens <= LARGEST => Ok(Some(tokens)),
        _ => Err(UsageError::NotACount(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage(raw: &str) -> Usage {
        read_usage(raw).unwrap_or_else(|error| unreachable!("{error}: {raw}"))
    }

    #[test]
    fn openai_s_own_usage_is_split_into_disjoint_kinds() {
        let read = usage(
            r#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":128,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#,
        );
        assert_eq!(
            read,
            Usage { input: 86, cache_read: 1920, output: 300, reasoning: 128, ..Usage::default() }
        );
    }

    #[test]
    fn audio_and_cache_writes_are_kinds_of_their_own() {
        let read = usage(
            r#"{"prompt_tokens":1000,"completion_tokens":90,"prompt_tokens_details":{"cached_tokens":200,"cache_write_tokens":300,"audio_tokens":400,"image_tokens":50,"text_tokens":600},"completion_tokens_details":{"audio_tokens":60,"text_tokens":30}}"#,
        );
        let input = Usage {
            input: 50,
            cache_read: 200,
            cache_write: 300,
            input_audio: 400,
            input_image: 50,
            ..Usage::default()
        };
        assert_eq!(read, Usage { output: 30, output_audio: 60, ..input });
    }

    #[test]
    fn overlapping_parts_never_count_a_token_twice() {
        let read = usage(
            r#"{"prompt_tokens":100,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":80,"audio_tokens":60}}"#,
        );
        assert_eq!(read, Usage { cache_read: 40, input_audio: 60, ..Usage::default() });
    }

    #[test]
    fn nulls_are_absent_and_unknown_members_are_ignored() {
        let read = usage(
            r#" {"prompt_tokens":7,"completion_tokens":2,"total_tokens":null,"prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null},"cost":0.1,"x":[{}]}"#,
        );
        assert_eq!(read, Usage { input: 7, output: 2, ..Usage::default() });
    }

    #[test]
    fn reasoning_that_only_the_total_counts_is_output() {
        let xai = r#"{"prompt_tokens":89752,"completion_tokens":935,"total_tokens":91182,"completion_tokens_details":{"reasoning_tokens":495}}"#;
        assert_eq!(usage(xai), Usage { input: 89752, output: 1430, reasoning: 495, ..Usage::default() });
        let gemini = r#"{"prompt_tokens":21,"completion_tokens":0,"total_tokens":81}"#;
        assert_eq!(usage(gemini), Usage { input: 21, output: 60, ..Usage::default() });
    }

    #[test]
    fn a_total_below_its_parts_changes_nothing() {
        let read = usage(r#"{"prompt_tokens":10,"completion_tokens":20,"total_tokens":5}"#);
        assert_eq!(read, Usage { input: 10, output: 20, ..Usage::default() });
    }

    #[test]
    fn deepseek_s_cache_hits_are_cached_tokens() {
        let read = usage(
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_cache_hit_tokens":6,"prompt_cache_miss_tokens":4}"#,
        );
        assert_eq!(read, Usage { input: 4, cache_read: 6, output: 1, ..Usage::default() });
    }

    #[test]
    fn what_is_no_count_is_refused() {
        for bad in [
            "-5",
            "1.0",
            "1.5",
            "1e3",
            "\"7\"",
            "true",
            "[]",
            "{}",
            "9007199254740993",
            "1e18",
            "99999999999999999999999",
        ] {
            let raw = format!(r#"{{"prompt_tokens":{bad},"completion_tokens":1}}"#);
            assert_eq!(read_usage(&raw), Err(UsageError::NotACount("prompt_tokens")), "{bad}");
            let raw = format!(
                r#"{{"prompt_tokens":1,"completion_tokens":1,"completion_tokens_details":{{"reasoning_tokens":{bad}}}}}"#
            );
            assert_eq!(read_usage(&raw), Err(UsageError::NotACount("reasoning_tokens")), "{bad}");
        }
        let largest = usage(r#"{"prompt_tokens":9007199254740992,"completion_tokens":0}"#);
        assert_eq!(largest.input, LARGEST);
    }

    #[test]
    fn a_part_larger_than_its_whole_is_refused() {
        let cached =
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":11}}"#;
        assert_eq!(read_usage(cached), Err(UsageError::PartExceedsWhole("cached_tokens")));
        let reasoning = r#"{"prompt_tokens":10,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":2}}"#;
        assert_eq!(read_usage(reasoning), Err(UsageError::PartExceedsWhole("reasoning_tokens")));
    }

    #[test]
    fn what_is_no_object_of_this_shape_is_refused() {
        for bad in [
            "\"many\"",
            "[1,2]",
            "7",
            "",
            "{",
            r#"{"prompt_tokens":1,"prompt_tokens":2,"completion_tokens":1}"#,
        ] {
            assert_eq!(read_usage(bad), Err(UsageError::Shape), "{bad}");
        }
        assert_eq!(read_usage("{}"), Err(UsageError::Missing("prompt_tokens")));
        assert_eq!(
            read_usage(r#"{"prompt_tokens":1,"completion_tokens":null}"#),
            Err(UsageError::Missing("completion_tokens"))
        );
    }

    proptest! {
        #[test]
        fn the_kinds_add_up_to_what_was_reported(prompt in 0..=LARGEST, parts in prop::array::uniform4(0..=100_u64), completion in 0..=LARGEST) {
            let share = |percent: u64| u64::try_from(u128::from(prompt) * u128::from(percent) / 100).unwrap_or(0);
            let raw = format!(
                r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"prompt_tokens_details":{{"cached_tokens":{},"audio_tokens":{},"image_tokens":{},"cache_write_tokens":{}}}}}"#,
                share(parts[0]), share(parts[1]), share(parts[2]), share(parts[3]),
            );
            let read = usage(&raw);
            prop_assert_eq!(read.tokens_in(), prompt);
            prop_assert_eq!(read.tokens_out(), completion);
        }
    }
}
