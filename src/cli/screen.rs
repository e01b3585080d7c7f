//! Where a command's words go: data on stdout, everything else on stderr, questions only to a person.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::cli::exit::{CommandError, Exit};
use crate::cli::render::text::printable;

/// How tables may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// They end on a terminal, and are fitted to its width.
    pub fitted: bool,
    /// They may be coloured: a terminal, and no `NO_COLOR`.
    pub coloured: bool,
}

impl Look {
    /// For files, pipes and tests.
    pub const PLAIN: Self = Self { fitted: false, coloured: false };
}

/// The process's three streams.
pub struct Screen {
    data: Box<dyn Write>,
    words: Box<dyn Write>,
    answers: Box<dyn BufRead>,
    /// Whether a person reads the words and can answer.
    pub interactive: bool,
    /// How tables may look.
    pub look: Look,
}

impl Screen {
    /// The streams that the process was started with.
    #[must_use]
    pub fn of_process() -> Self {
        let fitted = io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            data: Box::new(io::stdout()),
            words: Box::new(io::stderr()),
            answers: Box::new(io::BufReader::new(io::stdin())),
            interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
            look: Look { fitted, coloured: fitted && !no_color },
        }
    }

    #[cfg(test)]
    pub(in crate::cli) fn captured(
        data: Box<dyn Write>,
        words: Box<dyn Write>,
        answer: Option<&'static str>,
    ) -> Self {
        let answers = Box::new(io::Cursor::new(answer.unwrap_or_default()));
        Self { data, words, answers, interactive: answer.is_some(), look: Look::PLAIN }
    }

    /// Writes data.
    ///
    /// # Errors
    /// Where nobody takes it.
    pub fn data(&mut self, text: &str) -> Result<(), CommandError> {
        let written = self.data.write_all(text.as_bytes()).and_then(|()| self.data.flush());
        written.map_err(|error| CommandError::unwritable(&error))
    }

    /// Writes a line of words. Texts that others wrote are made harmless.
    pub fn say(&mut self, words: &str) {
        // Words that nobody reads are no reason to stop.
        let _ = writeln!(self.words, "{}", printable(words));
    }

    /// Asks whether to go on with something, saying what happens and how to skip the question.
    ///
    /// # Errors
    /// Anything but yes; and where nobody can be asked.
    pub fn confirm(&mut self, what_happens: &str) -> Result<(), CommandError> {
        self.can_ask()?;
        self.say(what_happens);
        let _ = write!(self.words, "Go on? [y/N] (--yes skips this question) ");
        let _ = self.words.flush();
        let mut answer = String::new();
        // An answer that cannot be read is none.
        let _ = self.answers.read_line(&mut answer);
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(CommandError::new(Exit::Failed, "Not confirmed: nothing was changed.")),
        }
    }

    /// Asks a question; Enter alone takes what is proposed.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn ask(&mut self, question: &str, proposed: &str) -> Result<String, CommandError> {
        let _ = write!(self.words, "{} [{}] ", printable(question), printable(proposed));
        let _ = self.words.flush();
        let mut answer = String::new();
        match self.answers.read_line(&mut answer) {
            Ok(read) if read > 0 => match answer.trim() {
                "" => Ok(proposed.to_owned()),
                answer => Ok(answer.to_owned()),
            },
            Ok(_) | Err(_) => Err(CommandError::new(Exit::Failed, "Nobody answers: nothing was changed.")),
        }
    }

    /// Makes sure that somebody can be asked.
    ///
    /// # Errors
    /// Off a terminal.
    pub fn can_ask(&self) -> Result<(), CommandError> {
        if self.interactive {
            return Ok(());
        }
        let what = "This cannot be undone, and there is no terminal to ask on.";
        Err(CommandError::usage(what).next("Add --yes if you mean it.".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;
    use crate::cli::testing::Captured;

    #[test]
    fn a_question_says_what_happens_and_how_to_skip_it() {
        let captured = Captured::default();
        let mut screen = captured.screen(Some("yes\n"));
        screen.confirm("Revokes key_1 for good.").unwrap();
        let words = captured.words();
        assert!(words.contains("Revokes key_1 for good.") && words.contains("--yes"), "{words}");
        assert_eq!(captured.data(), "");
    }

    #[test]
    fn enter_takes_what_is_proposed_and_an_end_of_input_is_no_answer() {
        let ask = |answer| Captured::default().screen(Some(answer)).ask("Where?", "here");
        assert_eq!(ask("\n").unwrap(), "here");
        assert_eq!(ask(" there \n").unwrap(), "there");
        assert_eq!(ask("").unwrap_err().exit(), Exit::Failed);
    }

    #[test]
    fn anything_but_yes_is_no() {
        for answer in ["", "\n", "n\n", "yess\n", "ja\n"] {
            let captured = Captured::default();
            let error = captured.screen(Some(answer)).confirm("Revokes it.").unwrap_err();
            assert_eq!(error.exit(), Exit::Failed, "{answer}");
        }
    }

    #[test]
    fn off_a_terminal_nobody_is_asked() {
        let captured = Captured::default();
        let error = captured.screen(None).confirm("Revokes it.").unwrap_err();
        assert_eq!((error.exit(), captured.words().as_str()), (Exit::Usage, ""));
        assert!(error.told().contains("--yes"));
    }
}
