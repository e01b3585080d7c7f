//! The secrets that hold at this moment. They may be replaced while the gateway serves, so whoever needs
//! them asks for them once for each request and keeps what was given.

use std::sync::{Arc, PoisonError, RwLock};

use super::secrets::Secrets;

/// The secrets in force, and what keeps newer ones from coming into force.
#[derive(Debug)]
pub struct SecretsInForce {
    secrets: RwLock<Arc<Secrets>>,
    trouble: RwLock<Option<String>>,
}

impl SecretsInForce {
    /// These.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets: RwLock::new(Arc::new(secrets)), trouble: RwLock::default() }
    }

    /// The secrets in force.
    #[must_use]
    pub fn now(&self) -> Arc<Secrets> {
        Arc::clone(&self.secrets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why the files are not in force as they are on disk; `None` if they are.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the secrets. What is in hand goes on with those that it was begun with.
    pub fn replace(&self, secrets: Secrets) {
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(secrets);
        *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The files cannot come into force. Returns whether that is news.
    pub fn fail(&self, why: String) -> bool {
        let mut trouble = self.trouble.write().unwrap_or_else(PoisonError::into_inner);
        let news = trouble.as_ref() != Some(&why);
        *trouble = Some(why);
        news
    }
}
