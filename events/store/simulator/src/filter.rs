//! Which events of `$all` a reader asks for.

use regex::Regex;
use tonic::Status;

use crate::log::Recorded;
use crate::protocol::streams::read_req::options::FilterOptions;
use crate::protocol::streams::read_req::options::filter_options::{Expression, Filter as Wire, Window};

/// How many events the server reads at once, and considers between two checkpoints where nothing else is asked.
pub(crate) const READ_BATCH: usize = 32;

pub(crate) struct Filter {
    by: By,
    test: Test,
    /// How many events are considered for one page.
    pub(crate) window: usize,
    /// After how many considered events a subscriber gets a checkpoint.
    pub(crate) checkpoint_interval: usize,
}

enum By {
    Stream,
    EventType,
}

enum Test {
    Prefix(Vec<String>),
    Regex(Regex),
}

impl Filter {
    pub(crate) fn of(options: FilterOptions) -> Result<Self, Status> {
        let (by, expression) = match options.filter {
            Some(Wire::StreamIdentifier(expression)) => (By::Stream, expression),
            Some(Wire::EventType(expression)) => (By::EventType, expression),
            None => return Err(Status::invalid_argument("'' is not a valid filter")),
        };
        let window = match options.window {
            Some(Window::Max(0)) | None => {
                return Err(Status::invalid_argument("'None' is not a valid window"));
            }
            Some(Window::Max(max)) => max as usize,
            Some(Window::Count(())) => READ_BATCH,
        };
        let checkpoint_interval = window * options.checkpoint_interval_multiplier.max(1) as usize;
        Ok(Self { by, test: test(expression)?, window, checkpoint_interval })
    }

    pub(crate) fn wants(&self, event: &Recorded) -> bool {
        let text = match self.by {
            By::Stream => &*event.stream,
            By::EventType => &event.event.event_type,
        };
        match &self.test {
            Test::Prefix(prefixes) => prefixes.iter().any(|prefix| text.starts_with(prefix)),
            Test::Regex(regex) => regex.is_match(text),
        }
    }
}

fn test(expression: Expression) -> Result<Test, Status> {
    if expression.regex.is_empty() {
        return Ok(Test::Prefix(expression.prefix));
    }
    let regex = Regex::new(&expression.regex).map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(Test::Regex(regex))
}
