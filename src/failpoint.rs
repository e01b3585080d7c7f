//! Named places where a test ends the process as `kill -9` would, or breaks a promise on purpose.
//! Without the feature `failpoints` nothing of this is compiled in.

/// The process came by a named place.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn reached(_place: &str) {}

#[cfg(feature = "failpoints")]
pub use enabled::{arm_from_environment, mutated, panic_with, reached};

#[cfg(feature = "failpoints")]
mod enabled {
    use std::path::PathBuf;
    use std::sync::{Mutex, OnceLock, PoisonError};

    /// `NEMO_CRASH_AT=<place>:<n>` kills the process when it comes by the place for the nth time.
    /// `NEMO_CRASH_AT=@<file>`: the file says so, and may be written anew while the process runs, which
    /// starts the count again.
    static CRASH: OnceLock<Option<Crash>> = OnceLock::new();
    /// `NEMO_MUTATION=<name>` breaks that promise.
    static MUTATION: OnceLock<Option<String>> = OnceLock::new();

    struct Crash {
        file: Option<PathBuf>,
        armed: Mutex<Armed>,
    }

    #[derive(Default)]
    struct Armed {
        text: String,
        place: String,
        /// Arrivals until the kill; none is planned where it is 0.
        left: u64,
    }

    impl Armed {
        fn with(text: String) -> Self {
            let (place, times) = text.trim().split_once(':').unwrap_or_default();
            let (place, left) = (place.to_owned(), times.parse().unwrap_or_default());
            Self { text, place, left }
        }
    }

    impl Crash {
        fn planned(text: String) -> Self {
            match text.strip_prefix('@') {
                Some(file) => Self { file: Some(file.into()), armed: Mutex::default() },
                None => Self { file: None, armed: Mutex::new(Armed::with(text)) },
            }
        }

        /// Kills the process if this is the planned arrival. Holds the lock while it dies, so that nobody
        /// else comes by a place any more.
        fn reached(&self, place: &str) {
            let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(text) = self.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok())
                && text != armed.text
            {
                *armed = Armed::with(text);
            }
            if armed.place != place || armed.left == 0 {
                return;
            }
            armed.left = armed.left.saturating_sub(1);
            if armed.left == 0 {
                die();
            }
        }
    }

    fn die() -> ! {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal may take a moment; nothing may happen after this place.
        loop {
            std::thread::park();
        }
    }

    /// Reads the environment once, so that the hot path does not.
    pub fn arm_from_environment() {
        let _ = CRASH.set(std::env::var("NEMO_CRASH_AT").ok().map(Crash::planned));
        let _ = MUTATION.set(std::env::var("NEMO_MUTATION").ok());
    }

    /// The process came by a named place.
    pub fn reached(place: &str) {
        if let Some(Some(crash)) = CRASH.get() {
            crash.reached(place);
        }
    }

    /// Panics with a caller's text, if a test wants a handler to.
    #[expect(clippy::panic, reason = "that is what it is for")]
    pub fn panic_with(text: &str) {
        if mutated("panic-with-the-model") && text.contains("panic") {
            std::panic::panic_any(text.to_owned());
        }
    }

    /// Whether a promise is broken on purpose.
    pub fn mutated(name: &str) -> bool {
        matches!(MUTATION.get(), Some(Some(mutation)) if mutation == name)
    }
}
