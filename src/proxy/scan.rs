//! A request body, scanned once and sent on as received but for the members that are spliced.
//!
//! What is priced is what is sent, so a body that two readers could read differently is refused: a key that
//! occurs twice in any object (compared after unescaping), text that is not Unicode, nesting beyond
//! [`MAX_DEPTH`]. Nothing is reordered or rewritten: `serde_json` finds where each member lies, and the bytes
//! stay where they are, numbers that no machine type can hold included.

mod check;
mod object;

use std::ops::Range;

use bytes::Bytes;
use serde_json::error::Category;

use self::check::{Keys, check};
pub use self::object::{Object, Text, unescaped};

/// Objects and arrays inside one another, the body itself included.
pub const MAX_DEPTH: usize = 64;

/// Why a body is not one that can be priced and sent on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Bytes that are not UTF-8.
    #[error("the body is not UTF-8 text")]
    NotUtf8,
    /// Not JSON; the text is the parser's and repeats nothing of the body.
    #[error("the body is not valid JSON: {0}")]
    NotJson(String),
    /// JSON, but no object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// A key occurs twice in the same object.
    #[error("the key `{path}` occurs twice")]
    DuplicateKey {
        /// Where, such as `messages[3].role`.
        path: String,
    },
    /// An escape such as `\ud800` that stands for no character.
    #[error("`{path}` is not Unicode text")]
    NotUnicode {
        /// Where.
        path: String,
    },
    /// Too many objects and arrays inside one another.
    #[error("`{path}` is nested too deeply")]
    TooDeep {
        /// Where.
        path: String,
    },
}

/// A body whose members are known.
#[derive(Debug, Clone)]
pub struct Scanned {
    body: Bytes,
    members: Vec<Member>,
    /// What follows the last member: white space and the closing brace.
    rest: Range<usize>,
}

#[derive(Debug, Clone)]
struct Member {
    name: String,
    /// What stands between the previous member, or the start of the body, and this one.
    before: Range<usize>,
    /// From the key's quote to the value's start.
    key: Range<usize>,
    value: Range<usize>,
}

impl Scanned {
    /// Scans a body.
    ///
    /// # Errors
    /// [`BodyError`]
    pub fn parse(body: Bytes) -> Result<Self, BodyError> {
        let text = std::str::from_utf8(&body).map_err(|_| BodyError::NotUtf8)?;
        let object: Object<'_> = serde_json::from_str(text).map_err(|error| syntax(&error))?;
        let mut members: Vec<Member> = Vec::with_capacity(object.0.len());
        let mut keys = Keys::default();
        let mut end = text.find('{').map_or(0, |brace| brace.saturating_add(1));
        let mut from = 0;
        for (key, value) in &object.0 {
            let name =
                unescaped(key.get()).ok_or_else(|| BodyError::NotUnicode { path: shown(key.get()) })?;
            if !keys.insert(name.clone()) {
                return Err(BodyError::DuplicateKey { path: shown(&name) });
            }
            check(value.get(), &name)?;
            let (key, value) = (place(text, key.get()), place(text, value.get()));
            end = value.end;
            members.push(Member {
                name: name.into_owned(),
                before: from..key.start,
                key: key.start..value.start,
                value,
            });
            from = end;
        }
        let rest = end..text.len();
        Ok(Self { body, members, rest })
    }

    /// The JSON text of a top-level member's value, exactly as received.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let member = self.members.iter().find(|member| member.name == name)?;
        std::str::from_utf8(self.slice(&member.value)).ok()
    }

    /// The names of the top-level members, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// The body as received.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body with top-level members replaced (`Some` JSON text), removed (`None`) or, where the body has no
    /// member of that name, added at its end. All other bytes are as received. The names must differ.
    #[must_use]
    pub fn splice(&self, edits: &[(&str, Option<&str>)]) -> Bytes {
        if edits.is_empty() {
            return self.body.clone();
        }
        let added: usize = edits.iter().map(|(name, value)| name.len() + value.map_or(0, str::len) + 4).sum();
        let mut out = Vec::with_capacity(self.body.len().saturating_add(added));
        let start = self.members.first().map_or(0..self.rest.start, |member| member.before.clone());
        out.extend_from_slice(self.slice(&start));
        let mut empty = true;
        for member in &self.members {
            let value = match edits.iter().find(|(name, _)| *name == member.name) {
                None => self.slice(&member.value),
                Some((_, Some(new))) => new.as_bytes(),
                Some((_, None)) => continue,
            };
            if !std::mem::take(&mut empty) {
                out.extend_from_slice(self.slice(&member.before));
            }
            out.extend_from_slice(self.slice(&member.key));
            out.extend_from_slice(value);
        }
        for (name, value) in edits.iter().filter(|(name, _)| self.names().all(|known| known != *name)) {
            let Some(value) = value else { continue };
            if !std::mem::take(&mut empty) {
                out.push(b',');
            }
            out.extend_from_slice(serde_json::Value::from(*name).to_string().as_bytes());
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
        out.extend_from_slice(self.slice(&self.rest));
        Bytes::from(out)
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.body.get(range.clone()).unwrap_or_default()
    }
}

/// Where a slice of a text lies in it.
fn place(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start.saturating_add(part.len())
}

fn syntax(error: &serde_json::Error) -> BodyError {
    match error.classify() {
        Category::Data => BodyError::NotAnObject,
        Category::Io | Category::Syntax | Category::Eof => BodyError::NotJson(error.to_string()),
    }
}

/// A path for an error message, cut to a length that a log line or a header can bear.
fn shown(path: &str) -> String {
    const LONGEST: usize = 200;
    match path.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", path.get(..end).unwrap_or_default()),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(body: &str) -> Scanned {
        parse(body).unwrap_or_else(|error| unreachable!("{error}: {body}"))
    }

    fn parse(body: &str) -> Result<Scanned, BodyError> {
        Scanned::parse(Bytes::copy_from_slice(body.as_bytes()))
    }

    fn spliced(body: &str, edits: &[(&str, Option<&str>)]) -> String {
        String::from_utf8_lossy(&scan(body).splice(edits)).into_owned()
    }

    #[test]
    fn members_are_found_by_their_unescaped_names() {
        let scanned = scan(r#" { "mod\u0065l" : "gpt-4o" , "n":1 } "#);
        assert_eq!(scanned.names().collect::<Vec<_>>(), ["model", "n"]);
        assert_eq!(scanned.get("model"), Some(r#""gpt-4o""#));
        assert_eq!(scanned.get("mod"), None);
    }

    #[test]
    fn numbers_stay_as_they_were_whether_or_not_a_machine_type_holds_them() {
        let body =
            r#"{"a":1e400,"b":0.1000,"c":123456789012345678901234567890,"d":{"deep":[-0,1e400,1.0E+2]}}"#;
        let expected = r#"{"a":1e400,"b":0.1000,"c":123456789012345678901234567890,"d":{"deep":[-0,1e400,1.0E+2]},"n":1}"#;
        assert_eq!(spliced(body, &[("n", Some("1"))]), expected);
        assert_eq!(scan(body).get("a"), Some("1e400"));
    }

    #[test]
    fn a_splice_replaces_removes_and_adds_and_touches_nothing_else() {
        let body = "{\n  \"model\" : \"a\",\n  \"x\": [1, 2],\n  \"mod\\u0065\": null\n}\n";
        let edits = [("model", Some("\"b\"")), ("mode", None), ("new", Some("{}")), ("absent", None)];
        assert_eq!(spliced(body, &edits), "{\n  \"model\" : \"b\",\n  \"x\": [1, 2],\"new\":{}\n}\n");
        assert_eq!(spliced(body, &[("model", None)]), "{\n  \"x\": [1, 2],\n  \"mod\\u0065\": null\n}\n");
        assert_eq!(spliced(body, &[("x", None)]), "{\n  \"model\" : \"a\",\n  \"mod\\u0065\": null\n}\n");
    }

    #[test]
    fn an_empty_object_can_be_added_to_and_a_full_one_emptied() {
        assert_eq!(spliced("{}", &[("a", Some("1")), ("b", Some("2"))]), r#"{"a":1,"b":2}"#);
        assert_eq!(spliced(" { } ", &[("a\"", Some("1"))]), r#" {"a\"":1 } "#);
        assert_eq!(spliced(r#"{ "a":1, "b":2 }"#, &[("a", None), ("b", None)]), "{  }");
        assert_eq!(spliced(r#"{ "a":1 }"#, &[("a", None), ("b", Some("2"))]), r#"{ "b":2 }"#);
    }

    #[test]
    fn a_key_that_occurs_twice_is_named_with_its_path() {
        let twice = |body: &str, path: &str| {
            assert_eq!(parse(body).err(), Some(BodyError::DuplicateKey { path: path.into() }), "{body}");
        };
        twice(r#"{"max_tokens":1,"max_tokens":1}"#, "max_tokens");
        twice(r#"{"model":1,"mod\u0065l":1}"#, "model");
        twice(r#"{"messages":[{},{"role":"user","x":{"a":1,"b":1,"\u0061":1}}]}"#, "messages[1].x.a");
        twice(r#"{"metadata":{"big":1e400,"a":[[{"k":1,"k":2}]]}}"#, "metadata.a[0][0].k");
        let many: String = (0..40).map(|key| format!(r#""{key}":0,"#)).collect();
        twice(&format!(r#"{{"x":{{{many}"7":1}}}}"#), "x.7");
    }

    #[test]
    fn what_is_no_json_object_is_refused_without_repeating_it() {
        for body in [
            "",
            "{",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1} x",
            "{'a':1}",
            "\u{feff}{}",
            "{\"a\":01}",
            "{\"a\":nul}",
        ] {
            assert!(matches!(parse(body), Err(BodyError::NotJson(_))), "{body}: {:?}", parse(body));
        }
        for body in ["[1]", "\"secret\"", "7", "null"] {
            assert_eq!(parse(body).err(), Some(BodyError::NotAnObject), "{body}");
        }
        assert_eq!(Scanned::parse(Bytes::from_static(b"{\"a\":\"\xff\"}")).err(), Some(BodyError::NotUtf8));
        let secret = parse("{\"prompt\":\"secret\", secret}").err().map(|error| error.to_string());
        assert!(secret.is_some_and(|text| !text.contains("secret")));
    }

    #[test]
    fn half_a_surrogate_pair_is_refused_wherever_it_stands() {
        let refused = |body: &str, path: &str| {
            assert_eq!(parse(body).err(), Some(BodyError::NotUnicode { path: path.into() }), "{body}");
        };
        refused(r#"{"user":"\ud83d"}"#, "user");
        refused(r#"{"messages":[{"content":"\ud83dx"}]}"#, "messages[0].content");
        refused(r#"{"\ud800":1}"#, r#""\ud800""#);
        assert!(parse(r#"{"user":"\ud83e\udd80"}"#).is_ok());
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |depth: usize, inner: &str| {
            format!("{{\"x\":{}{inner}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1))
        };
        for inner in ["1", "1e400"] {
            assert!(parse(&nested(MAX_DEPTH, inner)).is_ok());
            assert!(matches!(parse(&nested(MAX_DEPTH + 1, inner)), Err(BodyError::TooDeep { .. })));
        }
        assert!(matches!(parse(&nested(100_000, "1")), Err(BodyError::TooDeep { .. })));
    }

    #[test]
    fn a_path_in_a_message_is_cut_to_a_bearable_length() {
        let key = "é".repeat(5000);
        let error = parse(&format!(r#"{{"{key}":1,"{key}":2}}"#)).err();
        assert!(error.is_some_and(|error| error.to_string().len() < 500));
    }

    /// White space as clients write it.
    fn space() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just(""), Just(" "), Just("\n\t"), Just("\r\n  ")]
    }

    /// JSON text with odd numbers, escapes, white space.
    fn json() -> impl Strategy<Value = String> {
        let numbers =
            ["0", "-0", "0.1000", "1e400", "-1E-7", "18446744073709551616", "123456789012345678901234567890"];
        let strings = ["\"\"", r#""a\"b\\""#, r#""\u00e9\ud83e\udd80""#, "\"é日🦀\"", r#""}],{[""#];
        let leaf = prop_oneof![
            prop::sample::select(numbers.to_vec()).prop_map(str::to_owned),
            prop::sample::select(strings.to_vec()).prop_map(str::to_owned),
            Just("true".to_owned()),
            Just("null".to_owned()),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                (prop::collection::vec(inner.clone(), 0..5), space())
                    .prop_map(|(items, space)| format!("[{space}{}]", items.join(&format!("{space},")))),
                object(inner).prop_map(|(text, _)| text),
            ]
        })
    }

    /// An object's text and its members.
    fn object(
        inner: impl Strategy<Value = String>,
    ) -> impl Strategy<Value = (String, Vec<(String, String)>)> {
        let key = prop_oneof![
            Just(("model", "model")),
            Just(("n", r"\u006e")),
            Just(("é", "é")),
            Just(("a\"b", r#"a\"b"#)),
            Just(("", "")),
            Just(("x/y", r"x\/y")),
        ];
        let members = prop::collection::vec((key, inner, space(), space()), 0..6);
        (members, space()).prop_map(|(members, space)| {
            let mut known: Vec<(String, String)> = Vec::new();
            let mut texts = Vec::new();
            for ((key, escaped), value, before, after) in members {
                if known.iter().all(|(other, _)| other != key) {
                    known.push((key.to_owned(), value.clone()));
                    texts.push(format!("{before}\"{escaped}\"{after}:{before}{value}{after}"));
                }
            }
            (format!("{{{space}{}{space}}}", texts.join(",")), known)
        })
    }

    proptest! {
        #[test]
        fn a_splice_of_what_is_already_there_is_the_identity((body, members) in object(json())) {
            let scanned = scan(&body);
            prop_assert_eq!(scanned.splice(&[]), body.as_bytes());
            let same: Vec<_> = members.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect();
            prop_assert_eq!(scanned.splice(&same), body.as_bytes());
        }

        #[test]
        fn a_splice_is_the_edit_of_the_map(
            (body, mut members) in object(json()),
            edits in prop::collection::btree_map("model|n|é|new|a\"b", prop::option::of(json()), 0..5),
        ) {
            let slices: Vec<_> = edits.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
            let after = spliced(&body, &slices);
            for (key, value) in edits {
                match (members.iter_mut().find(|(known, _)| *known == key), value) {
                    (Some(member), Some(value)) => member.1 = value,
                    (Some(_), None) => members.retain(|(known, _)| *known != key),
                    (None, Some(value)) => members.push((key, value)),
                    (None, None) => {}
                }
            }
            let object = Object::read(&after).map(|object| {
                object.members().map(|(key, value)| (key.into_owned(), value.to_owned())).collect::<Vec<_>>()
            });
            prop_assert_eq!(object, Some(members), "{}", after);
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&after).is_ok());
        }

        #[test]
        fn a_duplicate_is_found_at_any_depth(
            (first, _) in object(json()), steps in prop::collection::vec(any::<bool>(), 0..50), odd in any::<bool>(),
        ) {
            let number = if odd { "1e400" } else { "1" };
            let mut value = format!(r#"{{"k":{number},"\u006b":{first}}}"#);
            let mut path = ".k".to_owned();
            for in_object in steps {
                (value, path) = if in_object {
                    (format!(r#"{{"a":0,"b": {value}}}"#), format!(".b{path}"))
                } else {
                    (format!("[{{}},{value}]"), format!("[1]{path}"))
                };
            }
            let expected: String = format!("top{path}").chars().take(200).collect();
            match parse(&format!(r#"{{"top":{value}}}"#)) {
                Err(BodyError::DuplicateKey { path }) => prop_assert!(path.starts_with(&expected), "{path}"),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn bytes_of_any_kind_are_scanned_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let valid = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).is_ok();
            prop_assert!(!valid || Scanned::parse(bytes.into()).is_ok());
        }
    }
}
