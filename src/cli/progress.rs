//! How far long work has got, told on stderr: a bar where somebody watches, elsewhere a line now and then,
//! so that a log stays readable. Work that is over within seconds says nothing.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::exit::say;
use super::render::money::grouped;

/// How often there is a line where nobody watches a bar.
const LINE_EVERY: Duration = Duration::from_secs(5);
const TEMPLATE: &str = "{msg} [{bar:30}] {human_pos} of {human_len} ({percent} %), {eta} left";

/// Long work. Shared by the threads that do it; dropping it takes the bar off the terminal.
pub struct Progress {
    /// Such as `checking events`.
    what: &'static str,
    bar: Option<ProgressBar>,
    last_line: Mutex<Instant>,
}

impl Progress {
    /// Begins to tell of work, such as `checking events`.
    #[must_use]
    pub fn begin(what: &'static str) -> Self {
        let bar = io::stderr().is_terminal().then(|| bar(what));
        Self { what, bar, last_line: Mutex::new(Instant::now()) }
    }

    /// So much is done of so much. Cheap enough to be told often.
    pub fn at(&self, done: u64, total: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            None => self.line(done, total, Instant::now()),
        }
    }

    fn line(&self, done: u64, total: u64, now: Instant) {
        if self.line_is_due(now) {
            say(&line(self.what, done, total));
        }
    }

    fn line_is_due(&self, now: Instant) -> bool {
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        let due = now.saturating_duration_since(*last) >= LINE_EVERY;
        if due {
            *last = now;
        }
        due
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_message(what);
    // Without the style there is a bar all the same.
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

fn line(what: &str, done: u64, total: u64) -> String {
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
    format!("{what}: {} of {} ({percent} %)\n", grouped(done), grouped(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_of_how_much() {
        assert_eq!(
            line("checking events", 250_000, 1_000_000),
            "checking events: 250,000 of 1,000,000 (25 %)\n"
        );
        assert_eq!(line("checking events", 0, 0), "checking events: 0 of 0 (100 %)\n");
    }

    #[test]
    fn lines_come_every_five_seconds_and_not_at_once() {
        let start = Instant::now();
        let progress = Progress { what: "checking", bar: None, last_line: Mutex::new(start) };
        let due = [0, 4, 5, 9, 10, 60].map(|secs| progress.line_is_due(start + Duration::from_secs(secs)));
        assert_eq!(due, [false, false, true, false, true, true]);
    }

    #[test]
    fn the_bars_template_is_understood() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
