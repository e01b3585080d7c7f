//! A provider's own error, on its way to the client: its words pass, its secrets and ours do not.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use crate::auth::provider_key::ProviderKey;

const MESSAGE_MAX_BYTES: usize = 2_048;
const ID_MAX_BYTES: usize = 128;

/// The status that a client sees for a provider's. What is wrong between the gateway and the provider
/// (its key, its account, a redirect) is not the client's doing.
pub(super) fn status(provider: u16) -> StatusCode {
    match provider {
        401..=403 | 407 => StatusCode::BAD_GATEWAY,
        400..=599 => StatusCode::from_u16(provider).unwrap_or(StatusCode::BAD_GATEWAY),
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// The error in OpenAI's dialect.
pub(super) fn body(provider: &str, status: u16, body: &[u8], key: Option<&ProviderKey>) -> Value {
    let told = (!matches!(status, 300..=399 | 401..=403 | 407)).then(|| their_words(body, key)).flatten();
    told.unwrap_or_else(|| {
        json!({ "error": {
            "message": format!("The provider `{provider}` answered with status {status}. Nothing is billed."),
            "type": "api_error", "param": null, "code": "provider_error",
        } })
    })
}

fn their_words(body: &[u8], key: Option<&ProviderKey>) -> Option<Value> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let error = value.get("error")?;
    let message = error.as_str().or_else(|| error.get("message")?.as_str())?;
    let message = message.get(..message.floor_char_boundary(MESSAGE_MAX_BYTES)).unwrap_or_default();
    let text = |name: &str| error.get(name).and_then(Value::as_str).filter(|text| text.len() <= ID_MAX_BYTES);
    let told = json!({ "error": {
        "message": message, "type": text("type").unwrap_or("api_error"), "param": text("param"),
        "code": text("code").unwrap_or("provider_error"),
    } });
    (!mentions(&told.to_string(), key)).then_some(told)
}

/// A provider's id for an answer, if it looks like one.
pub(super) fn id(text: &str, key: Option<&ProviderKey>) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    let is_id = !text.is_empty() && text.len() <= ID_MAX_BYTES && text.bytes().all(plain);
    (is_id && !mentions(text, key)).then(|| text.to_owned())
}

/// Whether a text holds the provider's key, as it is or written in another way.
fn mentions(text: &str, key: Option<&ProviderKey>) -> bool {
    /// A part this long gives enough away to be kept back.
    const PART: usize = 12;
    let Some(key) = key else { return false };
    let secret = key.expose_secret();
    if secret.is_empty() {
        return false;
    }
    let part = |secret: &str| {
        let bytes = secret.as_bytes();
        bytes
            .windows(PART.min(bytes.len()))
            .any(|part| text.as_bytes().windows(part.len()).any(|at| at == part))
    };
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let lower = text.to_ascii_lowercase();
    part(secret)
        || lower.contains(&hex)
        || base64_cores(secret.as_bytes()).iter().any(|core| text.contains(core))
}

/// What a key's base64 looks like wherever it starts within a longer text: three alignments, without
/// the characters at the edges that its neighbours change.
fn base64_cores(secret: &[u8]) -> Vec<String> {
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..3)
        .filter_map(|skip| {
            let triples = secret.get(skip..)?.as_chunks::<3>().0;
            let digits = triples.iter().flat_map(|[a, b, c]| {
                let word = u32::from(*a) << 16 | u32::from(*b) << 8 | u32::from(*c);
                [18, 12, 6, 0].map(|shift| usize::try_from(word >> shift & 63).unwrap_or_default())
            });
            let text: String = digits.filter_map(|d| STANDARD.get(d)).map(|d| char::from(*d)).collect();
            (text.len() >= 8).then_some(text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;
    use base64::Engine;

    #[test]
    fn their_words_pass_and_their_key_does_not() {
        let key = ProviderKey::parse("sk-provider-0123456789abcdef").unwrap();
        let said = |message: &str| {
            let error = json!({ "error": { "message": message, "type": "t", "code": "c" } }).to_string();
            body("p", 400, error.as_bytes(), Some(&key)).to_string()
        };
        assert!(said("no such model").contains("no such model"));
        let secret = key.expose_secret();
        let hex: String = secret.bytes().map(|b| format!("{b:02X}")).collect();
        let base64 = base64::engine::general_purpose::STANDARD.encode(format!("x{secret}"));
        for leak in [secret.to_owned(), format!("{}***", &secret[..16]), hex, base64] {
            let told = said(&format!("bad key {leak}"));
            assert!(!told.contains(&leak), "{told}");
        }
        assert_eq!(id(&format!("req-{secret}"), Some(&key)), None);
        assert_eq!(id("req-1", Some(&key)).as_deref(), Some("req-1"));
    }

    #[test]
    fn a_providers_trouble_with_our_key_is_not_the_clients() {
        assert_eq!(status(401), StatusCode::BAD_GATEWAY);
        assert_eq!(status(302), StatusCode::BAD_GATEWAY);
        assert_eq!(status(429), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(status(503), StatusCode::SERVICE_UNAVAILABLE);
    }
}
