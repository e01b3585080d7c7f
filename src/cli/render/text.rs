//! Texts that others wrote, made fit for a terminal.

const PREFIXES: [&str; 2] = ["sk-nemo-", "mk-nemo-"];

/// The text with every character that could drive a terminal, or turn the reading direction, replaced.
#[must_use]
pub fn printable(text: &str) -> String {
    let harmful = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// The text with everything behind a key's prefix left out.
#[must_use]
pub fn without_keys(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, prefix)) = first_prefix(rest) {
        let (before, found) = rest.split_at_checked(at).unwrap_or((rest, ""));
        kept.push_str(before);
        kept.push_str(prefix);
        kept.push('…');
        rest = found.trim_start_matches(prefix).trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    }
    kept + rest
}

fn first_prefix(text: &str) -> Option<(usize, &'static str)> {
    PREFIXES.iter().filter_map(|prefix| Some((text.find(prefix)?, *prefix))).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_left_out_wherever_it_stands() {
        let text = "a sk-nemo-1abc, mk-nemo-1XYZ'sk-nemo-sk-nemo-2 …";
        assert_eq!(without_keys(text), "a sk-nemo-…, mk-nemo-…'sk-nemo-… …");
        assert_eq!(without_keys("key_0123456789A is no secret"), "key_0123456789A is no secret");
    }

    #[test]
    fn escape_sequences_and_bidi_overrides_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[31m\n\u{202e}ü"), "a\u{fffd}[31m\u{fffd}\u{fffd}ü");
    }
}
