//! Named places where a test ends the process as `kill -9` would, or breaks a promise on purpose.
//! Without the feature `failpoints` nothing of this is compiled in.

/// The process came by a named place.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn reached(_place: &str) {}

#[cfg(feature = "failpoints")]
pub use enabled::{arm_from_environment, mutated, reached};

#[cfg(feature = "failpoints")]
mod enabled {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// `NEMO_CRASH_AT=<place>:<n>` kills the process when it comes by the place for the nth time.
    static CRASH: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    /// `NEMO_MUTATION=<name>` breaks that promise.
    static MUTATION: OnceLock<Option<String>> = OnceLock::new();

    /// Reads the environment once, so that the hot path does not.
    pub fn arm_from_environment() {
        let crash = std::env::var("NEMO_CRASH_AT").ok().and_then(|text| {
            let (place, times) = text.split_once(':')?;
            Some((place.to_owned(), AtomicU64::new(times.parse().ok()?)))
        });
        let _ = CRASH.set(crash);
        let _ = MUTATION.set(std::env::var("NEMO_MUTATION").ok());
    }

    /// The process came by a named place.
    pub fn reached(place: &str) {
        if let Some(Some((wanted, left))) = CRASH.get()
            && wanted == place
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            // The signal may take a moment; nothing may happen after this place.
            loop {
                std::thread::park();
            }
        }
    }

    /// Whether a promise is broken on purpose.
    pub fn mutated(name: &str) -> bool {
        matches!(MUTATION.get(), Some(Some(mutation)) if mutation == name)
    }
}
