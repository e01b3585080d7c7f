//! `nemo calls correct`: one call or many, downwards only, with the evidence. What was done is told call by
//! call, so that whatever stops it in the middle leaves no doubt; doing it again changes nothing twice.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use nemo_events::{CallId, Nanos};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::cli::consent::Consent;
use crate::cli::exit::CommandError;
use crate::cli::remote::Session;
use crate::cli::render::Rows;
use crate::cli::render::calls::CORRECTIONS;
use crate::cli::render::money::{grouped, one_call};
use crate::cli::reply::Verbatim;
use crate::cli::values::dollars;
use crate::cli::views::CorrectedRow;

/// Which calls are charged how much from now on, and why.
#[derive(Debug, Args)]
#[command(
    after_help = "A charge is lowered for good: it can be lowered again, but never raised. The budgets and the \
                        spend of the time when the call was authorised follow."
)]
pub struct CorrectArgs {
    /// The calls' ids
    #[arg(value_name = "CALL", required_unless_present = "file", conflicts_with = "file")]
    pub calls: Vec<CallId>,
    /// What each of them is charged: no more than now, and no more than it held
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, required_unless_present = "file", conflicts_with = "file")]
    pub charged: Option<Nanos>,
    /// A CSV file with the columns `call` and `charged`, in place of ids; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Why, and on what evidence, such as the number of the provider's invoice
    #[arg(long, visible_alias = "evidence", value_name = "WHY")]
    pub reason: String,
    /// Whether it is meant.
    #[command(flatten)]
    pub consent: Consent,
}

/// A line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Wanted {
    call: CallId,
    charged: Nanos,
}

pub(super) async fn correct(args: &CorrectArgs, session: &mut Session) -> Result<(), CommandError> {
    let asks = args.consent.must_ask(&session.screen)?;
    let wanted = wanted(args)?;
    if asks {
        session.screen.confirm(&what_happens(&wanted))?;
    }
    let mut rows = Rows::new(&CORRECTIONS, session.output, session.screen.look);
    let (mut done, mut stopped) = (0_usize, None);
    for Wanted { call, charged } in &wanted {
        let body = json!({ "charged": charged, "reason": args.reason });
        let id = call.to_string();
        let path = ["api", "calls", id.as_str(), "correct"];
        let sent: Result<Verbatim<CorrectedRow>, _> = session.client.send(Method::POST, &path, &body).await;
        match sent {
            Ok(corrected) => {
                session.screen.data(&rows.page(&[corrected]))?;
                done = done.saturating_add(1);
            }
            Err(error) => {
                stopped = Some((call, error));
                break;
            }
        }
    }
    if done > 0 {
        session.screen.data(&rows.end())?;
    }
    let count = |number: usize| grouped(u64::try_from(number).unwrap_or(u64::MAX));
    let all = count(wanted.len());
    match stopped {
        None => {
            session.screen.say(&format!("Corrected: {all} of {all}."));
            Ok(())
        }
        Some((_, error)) if done == 0 => Err(error),
        Some((call, error)) => {
            session.screen.say(&format!("Corrected: {} of {all}; it stopped at {call}.", count(done)));
            Err(error)
        }
    }
}

fn wanted(args: &CorrectArgs) -> Result<Vec<Wanted>, CommandError> {
    let Some(file) = &args.file else {
        let charged = args.charged.unwrap_or_default();
        return Ok(args.calls.iter().map(|call| Wanted { call: *call, charged }).collect());
    };
    let wanted = if file == Path::new("-") {
        read("standard input", io::stdin())?
    } else {
        let name = file.display().to_string();
        let opened = File::open(file);
        read(&name, opened.map_err(|error| CommandError::usage(format!("Cannot open {name}: {error}.")))?)?
    };
    if wanted.is_empty() {
        return Err(CommandError::usage("There is no call in the file.")
            .next("It begins with a line `call,charged`, and a line for each call follows.".to_owned()));
    }
    Ok(wanted)
}

/// Reads the whole file before anything is changed.
fn read(name: &str, from: impl Read) -> Result<Vec<Wanted>, CommandError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(from);
    let lines: Result<Vec<Wanted>, csv::Error> = reader.deserialize().collect();
    let wanted = lines.map_err(|error| {
        CommandError::usage(format!("{name} is not understood: {error}."))
            .next("It begins with a line `call,charged`; amounts are dollars such as 0.0125.".to_owned())
    })?;
    match wanted.iter().find(|line| line.charged.is_negative()) {
        None => Ok(wanted),
        Some(line) => Err(CommandError::usage(format!("{name}: the charge of {} is negative.", line.call))),
    }
}

fn what_happens(wanted: &[Wanted]) -> String {
    match wanted {
        [Wanted { call, charged }] => {
            format!(
                "Charges {} for the call {call}, for good: it can be lowered again, never raised.",
                one_call(*charged)
            )
        }
        several => format!(
            "Lowers what {} calls are charged, for good: a charge can be lowered again, never raised.",
            grouped(u64::try_from(several.len()).unwrap_or(u64::MAX))
        ),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;
    use crate::cli::exit::Exit;

    const CALL: &str = "0197b5a0-0000-7000-8000-000000000002";

    #[test]
    fn a_file_names_each_call_and_its_charge_among_whatever_else_it_has() {
        let text = format!("invoice,call,charged\n7, {CALL} ,0.0125\n8,{CALL},0\n");
        let wanted = read("f", text.as_bytes()).unwrap();
        let charges: Vec<_> = wanted.iter().map(|line| line.charged.to_string()).collect();
        assert_eq!(charges, ["0.0125", "0"]);
    }

    #[test]
    fn a_file_that_is_not_understood_changes_nothing_and_says_where() {
        let bad = [
            format!("call\n{CALL}\n"),
            format!("call,charged\n{CALL},1e3\n"),
            format!("call,charged\n{CALL},-1\n"),
            "call,charged\nx,1\n".to_owned(),
        ];
        for text in bad {
            assert_eq!(read("f.csv", text.as_bytes()).unwrap_err().exit(), Exit::Usage, "{text}");
        }
    }
}
