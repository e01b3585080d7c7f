//! How a command ends: an exit code, and on stderr what is wrong and what to do next.
//!
//! Whatever an error carries, no key and no control character of it reaches the terminal.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::render::text::{printable, without_keys};

/// The exit codes, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did not work, for a reason that no other code names.
    Failed = 1,
    /// The command line or its values are wrong; clap uses the same code.
    Usage = 2,
    /// What the command names does not exist.
    NotFound = 3,
    /// The server does not let this master key do it.
    NotAllowed = 4,
    /// The ledger is not what it was.
    IntegrityBroken = 5,
    /// The server, or the ledger behind it, cannot be reached.
    Unreachable = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not work, in words for the person who typed it.
#[derive(Debug)]
pub struct CommandError {
    exit: Exit,
    what: String,
    code: Option<String>,
    request_id: Option<String>,
    next: Option<String>,
}

impl CommandError {
    /// Says what is wrong, in a whole sentence.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), code: None, request_id: None, next: None }
    }

    /// The command line is wrong in a way that clap cannot see.
    #[must_use]
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Data could not be written. A reader that has seen enough, such as `head`, needs no words.
    #[must_use]
    pub fn unwritable(error: &io::Error) -> Self {
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        let what = if quiet { String::new() } else { format!("The output cannot be written: {error}.") };
        Self::new(Exit::Failed, what)
    }

    /// Names the server's stable code for the error.
    #[must_use]
    pub fn with_code(mut self, code: Option<String>) -> Self {
        self.code = code;
        self
    }

    /// Names the request, by which the server's log knows it.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id;
        self
    }

    /// Says what to do now.
    #[must_use]
    pub fn next(mut self, next: impl Into<Option<String>>) -> Self {
        self.next = next.into();
        self
    }

    /// The server's stable code for the error.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The code that the process exits with.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// Everything that is told on stderr; empty where nothing needs to be.
    #[must_use]
    pub fn told(&self) -> String {
        if self.what.is_empty() {
            return String::new();
        }
        let code = self.code.as_ref().map_or_else(String::new, |code| format!(" [{code}]"));
        let mut lines = vec![format!("error: {}{code}", self.what)];
        lines.extend(self.request_id.as_ref().map(|id| format!("request id: {id}")));
        lines.extend(self.next.as_ref().map(|next| format!("next: {next}")));
        let clean = lines.iter().map(|line| without_keys(&printable(line)) + "\n");
        clean.collect()
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_keys(&self.what))
    }
}

impl std::error::Error for CommandError {}

/// Tells a result on stderr and turns it into the process's exit code. An error that is no
/// [`CommandError`] is told with its chain and exits with [`Exit::Failed`].
#[must_use]
pub fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = match error.downcast::<CommandError>() {
                Ok(error) => error,
                Err(error) => CommandError::new(Exit::Failed, format!("{error:#}")),
            };
            say(&error.told());
            error.exit().into()
        }
    }
}

/// Writes to stderr. Unlike `eprint!`, it does not mind if nobody listens.
pub(super) fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_codes_are_those_that_scripts_know() {
        let codes = [
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::NotFound, 3),
            (Exit::NotAllowed, 4),
            (Exit::IntegrityBroken, 5),
            (Exit::Unreachable, 6),
        ];
        for (exit, number) in codes {
            assert_eq!(ExitCode::from(exit), ExitCode::from(number));
        }
    }

    #[test]
    fn an_error_tells_what_is_wrong_its_code_the_request_and_what_to_do() {
        let error = CommandError::new(Exit::NotFound, "There is no such key.")
            .with_code(Some("key_not_found".into()))
            .with_request_id(Some("0197".into()))
            .next("`nemo keys list` shows the keys.".to_owned());
        let told = "error: There is no such key. [key_not_found]\nrequest id: 0197\n\
                    next: `nemo keys list` shows the keys.\n";
        assert_eq!(error.told(), told);
    }

    #[test]
    fn neither_keys_nor_control_characters_are_told() {
        let key = "sk-nemo-10123456789A0000000000000000000000000000000000003of8hU";
        let error = CommandError::usage(format!("bad value {key}\x1b[2J"));
        assert!(!error.told().contains("0123456789A") && !error.told().contains('\x1b'), "{}", error.told());
        assert!(!error.to_string().contains("0123456789A"), "{error}");
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_news() {
        let error = CommandError::unwritable(&io::ErrorKind::BrokenPipe.into());
        assert_eq!(error.told(), "");
        assert!(!CommandError::unwritable(&io::ErrorKind::StorageFull.into()).told().is_empty());
    }
}
