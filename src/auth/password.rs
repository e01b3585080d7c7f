//! Passwords of people: argon2id, away from the threads that serve, and never more of it at a time than the
//! machine can bear.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::token::fill_random;

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// Hashes that are computed at the same time: 38 MiB, and two threads.
const AT_A_TIME: usize = 2;
/// Hashes that may wait for their turn; a second or two of work.
const WAITING: usize = 32;

const MIN_CHARS: usize = 12;
const MAX_BYTES: usize = 512;

/// A password as somebody typed it.
pub struct Password(Zeroizing<String>);

/// A hash as it stands in the secrets directory: argon2id, in the PHC's format.
#[derive(Clone)]
pub struct PasswordDigest(Zeroizing<String>);

/// Why a text cannot be a password here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Easy to guess.
    #[error("A password has at least {MIN_CHARS} characters. Several words make a good one.")]
    TooShort,
    /// Longer than anybody types.
    #[error("A password has at most {MAX_BYTES} bytes.")]
    TooLong,
    /// One of a few characters, over and over.
    #[error("This password is too easy to guess. Several words make a good one.")]
    TooPlain,
    /// It says who it belongs to.
    #[error("The password must not contain the name.")]
    ContainsName,
}

/// No hash can be computed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotHash {
    /// Others wait already.
    #[error("too many logins at a time")]
    Busy,
    /// It did not work.
    #[error("the password could not be hashed")]
    Broken,
}

impl Password {
    /// What somebody typed.
    #[must_use]
    pub fn typed(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, to see what it is not.
    pub(crate) fn expose_secret(&self) -> &str {
        &self.0
    }

    /// Whether somebody of this name may choose it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, name: &str) -> Result<(), BadPassword> {
        let (text, name) = (self.0.as_str(), name.trim().to_lowercase());
        if text.chars().count() < MIN_CHARS {
            return Err(BadPassword::TooShort);
        }
        if text.len() > MAX_BYTES {
            return Err(BadPassword::TooLong);
        }
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        if characters.len() < 5 {
            return Err(BadPassword::TooPlain);
        }
        if name.chars().count() >= 3 && Zeroizing::new(text.to_lowercase()).contains(&name) {
            return Err(BadPassword::ContainsName);
        }
        Ok(())
    }
}

impl PasswordDigest {
    /// A hash that was stored; what it is worth shows when a password is held against it.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the file that keeps it.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

impl std::fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordDigest(…)")
    }
}

/// Computes hashes, a few at a time.
#[derive(Debug, Clone)]
pub struct Hasher {
    working: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self {
            working: Arc::new(Semaphore::new(AT_A_TIME)),
            waiting: Arc::new(Semaphore::new(AT_A_TIME + WAITING)),
        }
    }
}

impl Hasher {
    /// Hashes a new password under a salt of its own.
    ///
    /// # Errors
    /// [`CannotHash`]
    pub async fn hash(&self, password: Password) -> Result<PasswordDigest, CannotHash> {
        self.work(move || hash(&password)).await?
    }

    /// Whether a password is the one of a hash. Takes as long where there is none, so that nobody learns from
    /// the time which names there are.
    ///
    /// # Errors
    /// [`CannotHash`]
    pub async fn verify(
        &self,
        password: Password,
        digest: impl FnOnce() -> Option<PasswordDigest> + Send + 'static,
    ) -> Result<bool, CannotHash> {
        self.work(move || match digest() {
            Some(digest) => verify(&password, &digest),
            None => {
                let nobody = NOBODY.as_ref().map_err(|broken| *broken)?;
                verify(&password, nobody).map(|_| false)
            }
        })
        .await?
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CannotHash> {
        let waits = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| CannotHash::Busy)?;
        let works = Arc::clone(&self.working).acquire_owned().await.map_err(|_| CannotHash::Broken)?;
        // Whoever gives up meanwhile does not make room: the work goes on.
        let done = tokio::task::spawn_blocking(move || {
            let _held = (waits, works);
            work()
        });
        done.await.map_err(|_| CannotHash::Broken)
    }
}

/// A hash of no password, to be held against the password of whoever is not there.
static NOBODY: LazyLock<Result<PasswordDigest, CannotHash>> = LazyLock::new(|| {
    let mut text = [0; 32];
    fill_random(&mut text).map_err(|_| CannotHash::Broken)?;
    hash(&Password::typed(text.iter().map(|byte| format!("{byte:02x}")).collect()))
});

fn argon2() -> Result<Argon2<'static>, CannotHash> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| CannotHash::Broken)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &Password) -> Result<PasswordDigest, CannotHash> {
    let mut salt = [0; SALT_BYTES];
    fill_random(&mut salt).map_err(|_| CannotHash::Broken)?;
    let hash: PasswordHash =
        argon2()?.hash_password_with_salt(password.0.as_bytes(), &salt).map_err(|_| CannotHash::Broken)?;
    Ok(PasswordDigest::stored(hash.to_string()))
}

/// With the parameters of the hash: those of today may be others. A hash that is none fits no password.
fn verify(password: &Password, digest: &PasswordDigest) -> Result<bool, CannotHash> {
    let Ok(hash) = PasswordHash::new(&digest.0) else { return Ok(false) };
    Ok(argon2()?.verify_password(password.0.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;

    fn typed(text: &str) -> Password {
        Password::typed(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other_one_is() {
        let hasher = Hasher::default();
        let digest = hasher.hash(typed("correct horse battery")).await.unwrap();
        let again = hasher.hash(typed("correct horse battery")).await.unwrap();
        assert_ne!(digest.expose_secret(), again.expose_secret(), "each has a salt of its own");
        assert!(digest.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let held = |text: &str, digest: Option<PasswordDigest>| hasher.verify(typed(text), move || digest);
        assert_eq!(held("correct horse battery", Some(digest.clone())).await, Ok(true));
        assert_eq!(held("correct horse batterz", Some(digest.clone())).await, Ok(false));
        assert_eq!(held("", Some(digest)).await, Ok(false));
        assert_eq!(held("correct horse battery", None).await, Ok(false), "nobody");
        let garbled = PasswordDigest::stored("$argon2id$rubbish".to_owned());
        assert_eq!(held("correct horse battery", Some(garbled)).await, Ok(false));
    }

    #[tokio::test]
    async fn a_flood_is_turned_away_instead_of_eating_the_machine() {
        let hasher = Hasher::default();
        let held: Vec<_> = (0..AT_A_TIME + WAITING)
            .map(|_| Arc::clone(&hasher.waiting).try_acquire_owned().unwrap())
            .collect();
        assert_eq!(hasher.verify(typed("whatever it is"), || None).await, Err(CannotHash::Busy));
        drop(held);
        assert_eq!(hasher.verify(typed("whatever it is"), || None).await, Ok(false));
    }

    #[test]
    fn what_is_easy_to_guess_is_no_password() {
        let check = |text: &str| typed(text).check("Ada Lovelace");
        assert_eq!(check("short"), Err(BadPassword::TooShort));
        assert_eq!(check("aaaaaaaaaaaaaaaa"), Err(BadPassword::TooPlain));
        assert_eq!(check("121212121212"), Err(BadPassword::TooPlain));
        assert_eq!(check("I am ada lovelace!"), Err(BadPassword::ContainsName));
        assert_eq!(check(&"correct horse ".repeat(40)), Err(BadPassword::TooLong));
        assert_eq!(check("correct horse battery"), Ok(()));
        assert_eq!(check("zwölf Wörter ß"), Ok(()));
    }

    #[test]
    fn neither_a_password_nor_its_hash_is_printed() {
        let digest = PasswordDigest::stored("$argon2id$secret".to_owned());
        let printed = format!("{:?} {digest:?}", typed("correct horse battery"));
        assert!(!printed.contains("horse") && !printed.contains("secret"), "{printed}");
    }
}
