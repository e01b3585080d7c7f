//! `Idempotency-Key`: a request that is to make one call, however often it is sent. Only HMACs of the key and of
//! the body are kept, and the key's own id is in both, so that nobody can tell that two keys sent the same.

use actix_web::http::header::{HeaderMap, HeaderName};
use nemo_events::KeyId;
use nemo_projections::repeat::Once;

use crate::auth::pepper::Peppers;
use crate::error::Failure;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const MOST_BYTES: usize = 255;

/// The request under every pepper, the current one first; empty where it has no idempotency key.
///
/// # Errors
/// A header that is empty, too long, no plain text, or there twice.
pub(super) fn of(
    headers: &HeaderMap,
    body: &[u8],
    caller: KeyId,
    peppers: &Peppers,
) -> Result<Vec<Once>, Failure> {
    let Some(key) = key(headers)? else { return Ok(Vec::new()) };
    let of_caller = |bytes: &[u8]| [caller.to_string().as_bytes(), b"\0", bytes].concat();
    let keys = peppers.keyed_under_each("idempotency-key", &of_caller(key.as_bytes()));
    let bodies = peppers.keyed_under_each("idempotent-body", &of_caller(body));
    Ok(keys.into_iter().zip(bodies).map(|(key, body)| Once { key, body }).collect())
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let mut all = headers.get_all(&HEADER);
    let Some(first) = all.next() else { return Ok(None) };
    let text = first.to_str().ok().filter(|text| (1..=MOST_BYTES).contains(&text.len()));
    match text {
        Some(text) if all.next().is_none() => Ok(Some(text)),
        _ => {
            let why = format!("`Idempotency-Key` is one header of 1 to {MOST_BYTES} plain characters.");
            Err(Failure::invalid_request(why).about("Idempotency-Key"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        key(&headers).map(|key| key.map(str::to_owned)).map_err(|failure| failure.code)
    }

    #[test]
    fn one_header_of_plain_text_is_a_key_and_none_is_none() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"order 4711/1"]), Ok(Some("order 4711/1".to_owned())));
        assert_eq!(read(&[&[b'x'; 255]]), Ok(Some("x".repeat(255))));
    }

    #[test]
    fn anything_else_is_refused_and_not_ignored() {
        let long = [b'x'; 256];
        for wrong in [&[&b""[..]][..], &[&long], &[b"gr\xc3\xbc\xc3\x9fe"], &[b"a", b"a"]] {
            assert_eq!(read(wrong), Err("invalid_request"), "{wrong:?}");
        }
    }
}
