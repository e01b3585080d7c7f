//! Logs: to standard error, as text or JSON, filtered by `NEMO_LOG`. Neither headers nor what a panic carried
//! gets into them.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::{self, PanicHookInfo};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use crate::config::LogFormat;
use crate::traces::Traces;

/// The variable that says what is logged, such as `debug` or `info,nemo::proxy=debug`.
const VARIABLE: &str = "NEMO_LOG";
const OURS: &str = "nemo";
const LONGEST_MESSAGE: usize = 200;

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `NEMO_LOG` is not a filter.
    #[error("{VARIABLE} is not a filter such as \"info\" or \"info,nemo::proxy=debug\"")]
    Filter(#[from] ParseError),
    /// `NEMO_LOG` is not Unicode.
    #[error("{VARIABLE} is not Unicode")]
    NotUnicode,
    /// Called twice.
    #[error("logs are set up already")]
    Twice(#[from] TryInitError),
}

/// Sets up logs, traces and the panic hook, once for the process. Without a filter in the environment, `usual` and
/// what is graver is logged.
///
/// # Errors
/// [`TelemetryError`] if `NEMO_LOG` cannot be understood.
pub fn init(format: LogFormat, usual: LevelFilter, traces: &Traces) -> Result<(), TelemetryError> {
    let directives = match std::env::var_os(VARIABLE) {
        Some(text) => text.into_string().map_err(|_| TelemetryError::NotUnicode)?,
        None => String::new(),
    };
    let filter = filter(&directives, usual)?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(wants_colour()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces.layer()).try_init()?;
    panic::set_hook(Box::new(report));
    Ok(())
}

fn filter<S>(directives: &str, usual: LevelFilter) -> Result<impl Filter<S> + use<S>, ParseError> {
    let asked = EnvFilter::builder().with_default_directive(usual.into()).parse(directives)?;
    // The hint leaves it to the other filter to say what needs no asking at all.
    Ok(asked.and(filter_fn(may_speak).with_max_level_hint(LevelFilter::TRACE)))
}

/// What the HTTP libraries say below `info` may hold headers, so no filter lets it through. Neither does any
/// filter let the event store's client through: it repeats whole replies at every attempt to connect, and
/// what matters of that the store says itself.
fn may_speak(metadata: &Metadata<'_>) -> bool {
    if metadata.target().starts_with("kurrentdb") {
        return false;
    }
    let ours =
        metadata.target().strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    ours || *metadata.level() <= Level::INFO
}

fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal()
}

/// Logs where a panic happened. It neither prints anything else nor ends the process.
fn report(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(
        panic.place = panic.location().map(tracing::field::display),
        panic.message = message(panic.payload()),
        panic.backtrace = backtrace.as_ref().map(tracing::field::display),
        "a panic: a fault in Nemo"
    );
}

/// What a panic said, if that was written in the source. A text that was put together at run time, such as that
/// of `unwrap`, may hold anything and is withheld.
fn message(payload: &(dyn Any + Send)) -> &str {
    match payload.downcast_ref::<&'static str>() {
        Some(text) => text.get(..text.floor_char_boundary(LONGEST_MESSAGE)).unwrap_or(text),
        None => "withheld",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly and panic on purpose")]
    use std::io;
    use std::panic::catch_unwind;
    use std::sync::{Arc, LazyLock, Mutex};

    use tracing::Dispatch;
    use tracing::subscriber::with_default;
    use tracing_subscriber::registry;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// While only one subscriber is alive, `tracing` asks the thread that first reaches a line whether that line is
    /// wanted, and keeps the answer for all: another test's panic would silence `report` for this one's.
    /// With two that live for ever, all are asked.
    static LISTENERS: LazyLock<[Dispatch; 2]> =
        LazyLock::new(|| [Dispatch::new(registry()), Dispatch::new(registry())]);

    fn logged(directives: &str, speak: impl FnOnce()) -> String {
        LazyLock::force(&LISTENERS);
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let filter = filter(directives, LevelFilter::INFO).unwrap();
        with_default(registry().with(layer.with_filter(filter)), speak);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_event_stores_client_is_never_heard() {
        let log = logged("trace", || {
            tracing::error!(target: "kurrentdb::grpc", "a whole reply");
            tracing::error!(target: "nemo_store::eventstoredb", "it is away");
        });
        assert!(!log.contains("a whole reply") && log.contains("it is away"), "{log}");
    }

    #[test]
    fn without_a_filter_info_is_logged_and_debug_is_not() {
        let log = logged("", || {
            tracing::info!(target: "nemo::proxy", "loud");
            tracing::debug!(target: "nemo::proxy", "quiet");
        });
        assert!(log.contains("loud") && !log.contains("quiet"), "{log}");
        let hint = filter::<tracing_subscriber::Registry>("", LevelFilter::INFO).unwrap().max_level_hint();
        assert_eq!(hint, Some(LevelFilter::INFO), "quiet lines cost nothing");
    }

    #[test]
    fn no_filter_lets_the_debug_lines_of_libraries_through() {
        let log = logged("trace", || {
            tracing::debug!(target: "hyper::proto", "authorization: Bearer sk-canary");
            tracing::debug!(target: "nemoid", "not ours");
            tracing::warn!(target: "hyper::proto", "a library warns");
            tracing::trace!(target: "nemo", "ours");
        });
        assert!(!log.contains("canary") && !log.contains("not ours"), "{log}");
        assert!(log.contains("a library warns") && log.contains("TRACE nemo: ours"), "{log}");
    }

    #[test]
    fn a_filter_that_cannot_be_understood_is_an_error() {
        assert!(filter::<tracing_subscriber::Registry>("nemo=loud", LevelFilter::INFO).is_err());
    }

    #[test]
    fn a_panic_s_text_is_shown_only_if_it_was_written_in_the_source() {
        let canary = "sk-canary";
        let said = |panics: fn(&str)| {
            let payload = catch_unwind(|| panics(canary)).unwrap_err();
            message(payload.as_ref()).to_owned()
        };
        assert_eq!(said(|_| panic!("the scale is empty")), "the scale is empty");
        assert_eq!(said(|canary| panic!("no room for {canary}")), "withheld");
        assert_eq!(
            said(|canary| canary.parse::<std::net::IpAddr>().map_err(|_| canary).map(drop).unwrap()),
            "withheld"
        );
        assert_eq!(said(|canary| std::panic::panic_any(canary.to_owned())), "withheld");
    }

    #[test]
    fn a_panic_in_a_thread_logs_its_place_and_ends_nothing_else() {
        panic::set_hook(Box::new(report));
        let log = logged("", || {
            let _ = catch_unwind(|| panic!("{}", String::from("sk-canary")));
        });
        let _ = panic::take_hook();
        assert!(log.contains("ERROR") && log.contains("telemetry.rs:"), "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
}
