//! What a caller says that a call is for: tags of our own header, those that clients of other gateways send
//! already, and what OpenAI's API has for it in the body. Claims: nobody checks them, no decision reads them, and
//! no header of them goes to the provider.
//!
//! Bounded: the first [`MOST`] distinct ones, each cut to [`MOST_BYTES`], without control characters, and
//! whatever follows a key's prefix is left out.

use actix_web::http::header::{HeaderMap, HeaderName};

use super::scan::{Object, Scanned, unescaped};
use crate::cli::render::text::without_keys;

/// How many are recorded.
const MOST: usize = 8;
/// How long each may be.
const MOST_BYTES: usize = 64;

/// Tags, separated by commas.
const LISTS: [HeaderName; 2] =
    [HeaderName::from_static("x-nemo-tags"), HeaderName::from_static("x-litellm-tags")];
/// A JSON object.
const OBJECT: HeaderName = HeaderName::from_static("x-portkey-metadata");
/// One header for each property.
const PROPERTY: &str = "helicone-property-";

/// The tags to record, what is ours first.
pub(super) fn of(headers: &HeaderMap, body: &Scanned) -> Vec<String> {
    let mut claims = Claims::default();
    let text =
        |name: &HeaderName| headers.get_all(name).filter_map(|value| value.to_str().ok()).collect::<Vec<_>>();
    LISTS.iter().flat_map(text).flat_map(|list| list.split(',')).for_each(|tag| claims.add(tag));
    text(&OBJECT).into_iter().for_each(|object| claims.add_members(object));
    for (name, value) in headers {
        if let (Some(property), Ok(value)) = (name.as_str().strip_prefix(PROPERTY), value.to_str()) {
            claims.add(&format!("{property}={value}"));
        }
    }
    body.get("metadata").into_iter().for_each(|object| claims.add_members(object));
    if let Some(user) = body.get("user").and_then(unescaped) {
        claims.add(&format!("user={user}"));
    }
    claims.0
}

#[derive(Default)]
struct Claims(Vec<String>);

impl Claims {
    fn add(&mut self, claim: &str) {
        let plain: String = without_keys(claim).chars().filter(|letter| !letter.is_control()).collect();
        let plain = cut(plain.trim());
        if !plain.is_empty() && self.0.len() < MOST && !self.0.iter().any(|known| known == plain) {
            self.0.push(plain.to_owned());
        }
    }

    /// Members as `name=value`; a list of `tags`, as LiteLLM has it, one by one.
    fn add_members(&mut self, object: &str) {
        let Some(object) = Object::read(object) else { return };
        for (name, value) in object.members() {
            if let Ok(tags) = serde_json::from_str::<Vec<String>>(value) {
                tags.iter().for_each(|tag| self.add(tag));
            } else if let Some(text) = unescaped(value) {
                self.add(&format!("{name}={text}"));
            } else if !value.starts_with(['{', '[']) && value != "null" {
                self.add(&format!("{name}={value}"));
            }
        }
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MOST_BYTES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use actix_web::http::header::HeaderValue;
    use bytes::Bytes;

    use super::*;

    fn claims(headers: &[(&'static str, &str)], body: &str) -> Vec<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        of(&map, &Scanned::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap())
    }

    #[test]
    fn the_tags_of_our_own_header_come_first_and_each_once() {
        let headers =
            [("x-litellm-tags", "team-b, nightly"), ("x-nemo-tags", "nightly , ,eval"), ("x-nemo-tags", "x")];
        assert_eq!(claims(&headers, "{}"), ["nightly", "eval", "x", "team-b"]);
    }

    #[test]
    fn what_clients_of_other_gateways_send_is_understood() {
        let headers = [
            ("x-portkey-metadata", r#"{"_user":"u1","n":3,"deep":{"a":1},"none":null}"#),
            ("helicone-property-session", "s 9"),
        ];
        assert_eq!(claims(&headers, "{}"), ["_user=u1", "n=3", "session=s 9"]);
    }

    #[test]
    fn the_body_says_it_as_openai_has_it_and_as_litellm_has_it() {
        let body = r#"{"metadata":{"job":"nightly","tags":["a","b"]},"user":"gr\u00fc\u00dfe"}"#;
        assert_eq!(claims(&[], body), ["job=nightly", "a", "b", "user=grüße"]);
        assert_eq!(claims(&[], r#"{"metadata":null,"user":null}"#), Vec::<String>::new());
        assert_eq!(
            claims(&[("x-portkey-metadata", "no json")], r#"{"metadata":[1],"user":7}"#),
            Vec::<String>::new()
        );
    }

    #[test]
    fn there_are_at_most_eight_of_at_most_64_bytes_without_keys_and_control_characters() {
        let many: Vec<_> = (0..20).map(|n| format!("t{n}")).collect();
        assert!(claims(&[("x-nemo-tags", &many.join(","))], "{}").iter().eq(many.iter().take(8)));
        let long = format!(r#"{{"user":"{}"}}"#, "ü".repeat(100));
        let [cut] = claims(&[], &long).try_into().unwrap();
        assert_eq!((cut.len(), cut.starts_with("user=üü")), (63, true));
        assert_eq!(claims(&[], r#"{"user":"a\u001b[2J\nb"}"#), ["user=a[2Jb"]);
        let key = r#"{"user":"sk-nemo-10123456789A0000000000000000000000000000000000003of8hU"}"#;
        assert!(!claims(&[], key).concat().contains("0123456789A"));
    }
}
