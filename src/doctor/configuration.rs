//! The configuration: everything that is wrong with it at once, each with its place.

use super::environment;
use super::finding::Findings;
use crate::catalogue::Catalogue;
use crate::cli::DoctorArgs;
use crate::config::{Config, ConfigError};

const CHECK: &str = "configuration";
const REFERENCE: &str = "Mend the place that is named; every key is in the configuration reference.";

/// What the gateway would run with; `None` where it would not start.
pub(super) fn look(args: &DoctorArgs, findings: &mut Findings) -> Option<(Config, Catalogue)> {
    let path = args.config.as_deref();
    let config = match Config::load(path, &environment()) {
        Ok(config) => config,
        Err(error) => {
            for error in error.each() {
                let next = next(&error);
                findings.fail(CHECK, chain(&error), next);
            }
            return None;
        }
    };
    let config = with_data_dir(config, args);
    match path {
        Some(path) => findings.ok(CHECK, format!("{} is understood", path.display())),
        None => findings.ok(CHECK, "no file: everything is at its default (--config names one)"),
    }
    for notice in &config.notices {
        findings.warn(CHECK, notice.to_string(), "Leave it if it is meant so.");
    }
    match Catalogue::with(&config.prices) {
        Ok(catalogue) => Some((config, catalogue)),
        Err(error) => {
            findings.fail("prices", chain(&error), REFERENCE);
            None
        }
    }
}

fn with_data_dir(mut config: Config, args: &DoctorArgs) -> Config {
    if let Some(data_dir) = &args.data_dir {
        config.server.data_dir.clone_from(data_dir);
    }
    config
}

fn next(error: &ConfigError) -> &'static str {
    match error {
        ConfigError::Unreadable { .. } => {
            "Name the file with --config or NEMO_CONFIG; `nemo init` writes one."
        }
        ConfigError::UnknownVariable { .. } => "Unset the variable, or give it the name that is meant.",
        ConfigError::Syntax { .. }
        | ConfigError::UnknownKey { .. }
        | ConfigError::Missing { .. }
        | ConfigError::Bad { .. }
        | ConfigError::Several(_) => REFERENCE,
    }
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
