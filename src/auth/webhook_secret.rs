//! Secrets that sign webhooks: loaded from the environment or a file, shown to nobody.
//!
//! Written as the Standard Webhooks scheme writes them, `whsec_` and base64, so that its libraries take them as
//! they are. While one is replaced by another both sign, and a receiver may know either.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::secret_files::{Holds, SecretsError};

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes a secret has.
const LEAST_BYTES: usize = 32;
const MOST_BYTES: usize = 64;
/// How many secrets of one webhook sign at the same time.
const MOST_SECRETS: usize = 4;

/// All secrets of a webhook that sign.
pub struct WebhookSecrets(Vec<Zeroizing<Vec<u8>>>);

impl WebhookSecrets {
    /// Takes secrets, with white space between them.
    ///
    /// # Errors
    /// [`BadWebhookSecret`] for what is none.
    pub fn parse(text: &str) -> Result<Self, BadWebhookSecret> {
        let secrets: Vec<_> = text.split_ascii_whitespace().zip(1..).map(secret).collect::<Result<_, _>>()?;
        match secrets.len() {
            0 => Err(BadWebhookSecret::Empty),
            1..=MOST_SECRETS => Ok(Self(secrets)),
            _ => Err(BadWebhookSecret::TooMany),
        }
    }

    /// Reads them from an environment variable.
    ///
    /// # Errors
    /// [`WebhookSecretError`] if it is not set or holds no usable secret.
    pub fn from_env(name: &str) -> Result<Self, WebhookSecretError> {
        let place = format!("the environment variable {name}");
        let Some(value) = std::env::var_os(name) else { return Err(WebhookSecretError::NotSet { place }) };
        // Taken as bytes: the error of `var` would carry the value.
        let value = Zeroizing::new(value.into_encoded_bytes());
        let text = std::str::from_utf8(&value).map_err(|_| BadWebhookSecret::Form { number: 1 });
        text.and_then(Self::parse).map_err(|source| WebhookSecretError::Unusable { place, source })
    }

    /// Reads them from a file. Others may be able to read it: containers mount secrets like that.
    ///
    /// # Errors
    /// [`WebhookSecretError`] if it cannot be read or holds no usable secret.
    pub fn from_file(path: &Path) -> Result<Self, WebhookSecretError> {
        let text = Holds::WebhookSecret.read(path)?;
        Self::parse(&text).map_err(|source| WebhookSecretError::Unusable {
            place: format!("the file {}", path.display()),
            source,
        })
    }

    /// The value of `webhook-signature`: one signature with each secret over id, second and body.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
        let signature = |secret: &Zeroizing<Vec<u8>>| {
            // HMAC takes a key of any length.
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
            mac.update(format!("{id}.{timestamp_secs}.").as_bytes());
            mac.update(body);
            Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        };
        self.0.iter().filter_map(signature).collect::<Vec<_>>().join(" ")
    }

    /// Whether both hold the same secrets in the same order.
    #[must_use]
    pub fn are(&self, other: &Self) -> bool {
        let same =
            |(one, another): (&Zeroizing<Vec<u8>>, &Zeroizing<Vec<u8>>)| bool::from(one.ct_eq(another));
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

fn secret((text, number): (&str, usize)) -> Result<Zeroizing<Vec<u8>>, BadWebhookSecret> {
    let encoded = text.strip_prefix(PREFIX).ok_or(BadWebhookSecret::Form { number })?;
    let bytes = STANDARD.decode(encoded).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| BadWebhookSecret::Form { number })?;
    if (LEAST_BYTES..=MOST_BYTES).contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err(BadWebhookSecret::Length { number, bytes: bytes.len() })
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecrets({} redacted)", self.0.len())
    }
}

/// Why a text holds no usable secrets. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadWebhookSecret {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It does not look like a secret.
    #[error(
        "secret {number} is not `whsec_` and base64: make one with `echo whsec_$(openssl rand -base64 32)`"
    )]
    Form {
        /// Which, from 1.
        number: usize,
    },
    /// It is too short to be hard to guess, or longer than receivers take.
    #[error("secret {number} has {bytes} bytes, and must have 32 to 64")]
    Length {
        /// Which, from 1.
        number: usize,
        /// How many bytes it has.
        bytes: usize,
    },
    /// More than a receiver should be made to try.
    #[error("it holds more than 4 secrets: take out those that no receiver knows any more")]
    TooMany,
}

/// Why a webhook's secrets could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum WebhookSecretError {
    /// The environment variable does not exist.
    #[error("{place} is not set")]
    NotSet {
        /// The variable.
        place: String,
    },
    /// There is something, but no usable secret.
    #[error("{place} holds no usable webhook secret")]
    Unusable {
        /// The variable or file.
        place: String,
        /// What is wrong with it.
        source: BadWebhookSecret,
    },
    /// The file cannot be read.
    #[error("the webhook secret's file cannot be used")]
    File(#[from] SecretsError),
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at its first surprise")]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        format!("{PREFIX}{}", STANDARD.encode(bytes))
    }

    #[test]
    fn a_signature_is_that_of_the_standards_own_example() {
        // The example of the Standard Webhooks libraries; its secret has 24 bytes, which is less than is taken here.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let secrets = WebhookSecrets(vec![Zeroizing::new(secret)]);
        let signed = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_secret_signs_and_none_is_shown() {
        let (old, new) = (encoded(&[1; 32]), encoded(&[2; 64]));
        let both = WebhookSecrets::parse(&format!("{new}\n{old}\n")).unwrap();
        let one = WebhookSecrets::parse(&old).unwrap();
        let (signed, signed_by_one) = (both.sign("id", 7, b"{}"), one.sign("id", 7, b"{}"));
        assert_eq!(signed.split(' ').nth(1), Some(signed_by_one.as_str()));
        assert!(!both.are(&one) && one.are(&WebhookSecrets::parse(&old).unwrap()));
        assert_eq!(format!("{both:?}"), "WebhookSecrets(2 redacted)");
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_repeated() {
        let fault = |text: &str| WebhookSecrets::parse(text).unwrap_err();
        assert_eq!(fault(" \n"), BadWebhookSecret::Empty);
        assert_eq!(fault("hunter2"), BadWebhookSecret::Form { number: 1 });
        assert_eq!(fault(&format!("{} whsec_***", encoded(&[1; 32]))), BadWebhookSecret::Form { number: 2 });
        assert_eq!(fault(&encoded(&[1; 31])), BadWebhookSecret::Length { number: 1, bytes: 31 });
        assert_eq!(fault(&encoded(&[1; 65])), BadWebhookSecret::Length { number: 1, bytes: 65 });
        assert_eq!(fault(&format!("{} ", encoded(&[1; 32])).repeat(5)), BadWebhookSecret::TooMany);
    }
}
