//! The secrets of a key: which there are, and until when each works.

use nemo_events::key::KeySecret;
use nemo_events::{Digest, PepperId, Timestamp};
use serde::{Deserialize, Serialize};

use super::KeyState;
use crate::CorruptLog;

/// How many secrets are remembered, and so how many may work at the same time. A caller with an older one is
/// told that it is no key of ours.
pub const SECRETS_KEPT: usize = 8;

/// One of the key's secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretState {
    /// Its digest, version and last four characters.
    pub secret: KeySecret,
    /// From this moment on it is refused; `None` for the current one.
    pub valid_until: Option<Timestamp>,
    /// Its digest under the pepper before: a request that was digested just before the renewal, or by a node
    /// that does not have the new pepper yet, still proves the same secret.
    #[serde(default)]
    pub renewed_from: Option<(PepperId, Digest)>,
}

impl SecretState {
    pub(super) const fn new(secret: KeySecret) -> Self {
        Self { secret, valid_until: None, renewed_from: None }
    }

    /// Whether it works at this moment.
    #[must_use]
    pub fn works_at(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }

    /// Whether it has this digest under this pepper.
    #[must_use]
    pub fn is(&self, pepper: &PepperId, digest: &Digest) -> bool {
        let now = self.secret.pepper == *pepper && self.secret.digest == *digest;
        let before = self.renewed_from.as_ref().is_some_and(|(p, d)| p == pepper && d == digest);
        now || before
    }

    pub(super) fn renewed(&mut self, secret: &KeySecret) {
        let before = std::mem::replace(&mut self.secret, secret.clone());
        self.renewed_from = Some((before.pepper, before.digest));
    }
}

impl KeyState {
    pub(super) fn secret_rotated(
        &mut self,
        secret: &KeySecret,
        previous_valid_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), CorruptLog> {
        self.living()?;
        if self.current_secret().is_some_and(|current| secret.version <= current.version) {
            return Err(CorruptLog("a new secret has an earlier one's version"));
        }
        for earlier in &mut self.secrets {
            let ends = earlier.valid_until.map_or(previous_valid_until, |t| t.min(previous_valid_until));
            earlier.valid_until = Some(ends);
        }
        self.secrets.push(SecretState::new(secret.clone()));
        self.forget_secrets(now);
        Ok(())
    }

    /// Forgets the oldest secrets, those first that do not work any more.
    fn forget_secrets(&mut self, now: Timestamp) {
        let mut surplus = self.secrets.len().saturating_sub(SECRETS_KEPT);
        self.secrets.retain(|secret| {
            let forget = surplus > 0 && !secret.works_at(now);
            surplus = surplus.saturating_sub(usize::from(forget));
            !forget
        });
        self.secrets.drain(..surplus);
    }

    pub(super) fn secret_mut(&mut self, version: u32) -> Result<&mut SecretState, CorruptLog> {
        self.living()?;
        let found = self.secrets.iter_mut().find(|s| s.secret.version == version);
        found.ok_or(CorruptLog("an event names a secret that the key does not have"))
    }
}
