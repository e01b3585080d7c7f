//! `nemo calls`: single calls, whoever made them.

mod correct;

use clap::{Args, Subcommand};
use nemo_events::CallId;

pub use correct::CorrectArgs;

use super::exit::CommandError;
use super::output::Output;
use super::remote::{RemoteOptions, Session};
use super::render::call_detail;
use super::render::calls::CALLS;
use super::reply::Verbatim;
use super::views::CallReply;

/// Calls: show one, correct what it is charged
#[derive(Debug, Args)]
pub struct CallsArgs {
    /// Where and how.
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: CallsCommand,
}

/// What can be done with calls.
#[derive(Debug, Subcommand)]
pub enum CallsCommand {
    /// Show one call: what it asked for, what it held, how it ended, what it is charged
    Show(CallArg),
    /// Lower what ended calls are charged, on evidence
    Correct(CorrectArgs),
}

/// Which call.
#[derive(Debug, Args)]
pub struct CallArg {
    /// The call's id, as `nemo keys calls` and the header x-nemo-call-id tell it
    #[arg(value_name = "CALL")]
    pub call: CallId,
}

/// Runs a command on calls.
///
/// # Errors
/// Why it did not work.
pub async fn run(command: CallsCommand, session: &mut Session) -> Result<(), CommandError> {
    match command {
        CallsCommand::Show(CallArg { call }) => show(call, session).await,
        CallsCommand::Correct(args) => correct::correct(&args, session).await,
    }
}

async fn show(call: CallId, session: &mut Session) -> Result<(), CommandError> {
    let reply: Verbatim<CallReply> = session.client.get(&["api", "calls", &call.to_string()], &[]).await?;
    match session.output {
        Output::Table => {
            let page = call_detail::page(&reply.view, session.screen.look);
            session.screen.data(&page)
        }
        Output::Json | Output::Jsonl | Output::Csv => session.row(&CALLS, &reply.view.call, reply.json()),
    }
}
