//! Looking at keys: list, show, calls, timeline.

use clap::{Args, ValueEnum};
use nemo_events::{PepperId, Revision};

use super::people::People;
use super::{KeyArg, follow};
use crate::cli::exit::CommandError;
use crate::cli::output::Output;
use crate::cli::remote::{List, Session};
use crate::cli::render::calls::CALLS;
use crate::cli::render::events::EVENTS;
use crate::cli::render::key_detail;
use crate::cli::render::keys::KEYS;
use crate::cli::reply::Verbatim;
use crate::cli::values::{OrgName, revision};
use crate::cli::views::{KeyReply, KeyRow};

/// Which keys to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Keys of this org, named by id or name
    #[arg(long, value_name = "ORG")]
    pub org: Option<OrgName>,
    /// Keys of this status
    #[arg(long, value_name = "STATUS", value_enum)]
    pub status: Option<StatusValue>,
    /// Part of the name, beginning of the id, or the last four characters of the key
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Keys with this app
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// Keys with this job
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// Keys with this environment
    #[arg(long, value_name = "ENV")]
    pub env: Option<String>,
    /// Keys with this cost centre
    #[arg(long, value_name = "COST-CENTRE")]
    pub cost_centre: Option<String>,
    /// Keys with this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Keys that need this pepper, named by its id
    #[arg(long, value_name = "PEPPER")]
    pub pepper: Option<PepperId>,
    /// How many to list at most; all without it
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Wait until the list reflects this position, as an earlier change answered it
    #[arg(long, value_name = "POSITION")]
    pub min_position: Option<u64>,
}

/// A key's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusValue {
    /// It may be used
    Active,
    /// Not until it is unblocked
    Blocked,
    /// Never again
    Revoked,
}

impl StatusValue {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Revoked => "revoked",
        }
    }
}

/// Which calls to list.
#[derive(Debug, Args)]
pub struct CallsArgs {
    /// Whose.
    #[command(flatten)]
    pub key: KeyArg,
    /// How many to list at most; all without it
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Wait until the list reflects this position, as an earlier change answered it
    #[arg(long, value_name = "POSITION")]
    pub min_position: Option<u64>,
}

/// Which events to list.
#[derive(Debug, Args)]
pub struct TimelineArgs {
    /// Whose.
    #[command(flatten)]
    pub key: KeyArg,
    /// The revision to begin with, such as 12 or @12
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub from: Option<Revision>,
    /// How many to list at most; all without it
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Go on with each new event as it comes, until Ctrl-C
    #[arg(long, short = 'f')]
    pub follow: bool,
}

/// `nemo keys list`
pub(super) async fn list(args: ListArgs, session: &mut Session) -> Result<(), CommandError> {
    let org = match &args.org {
        Some(name) => Some(session.org_id(name).await?.to_string()),
        None => None,
    };
    let filters = [
        ("org", org),
        ("status", args.status.map(|status| status.as_str().to_owned())),
        ("q", args.search),
        ("app", args.app),
        ("job", args.job),
        ("env", args.env),
        ("cost_centre", args.cost_centre),
        ("tag", args.tag),
        ("pepper", args.pepper.map(|pepper| pepper.to_string())),
        ("min_position", args.min_position.map(|position| position.to_string())),
    ];
    let query = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    session.list(&KEYS, List { path: &["api", "keys"], query, next: "cursor", limit: args.limit }).await
}

/// `nemo keys show`
pub(super) async fn show(key: &KeyArg, session: &mut Session) -> Result<(), CommandError> {
    let reply: Verbatim<KeyReply> = session.client.get(&["api", "keys", &key.text()], &[]).await?;
    let key = &reply.view.key;
    match session.output {
        Output::Table => {
            let page = key_detail::page(key, session.screen.look);
            session.screen.data(&page)
        }
        Output::Json | Output::Jsonl | Output::Csv => session.row(&KEYS, &KeyRow::from(key), reply.json()),
    }
}

/// `nemo keys calls`
pub(super) async fn calls(args: &CallsArgs, session: &mut Session) -> Result<(), CommandError> {
    let key = args.key.text();
    let path = ["api", "keys", key.as_str(), "calls"];
    let query =
        args.min_position.map(|position| ("min_position", position.to_string())).into_iter().collect();
    session.list(&CALLS, List { path: &path, query, next: "cursor", limit: args.limit }).await
}

/// `nemo keys timeline`
pub(super) async fn timeline(args: &TimelineArgs, session: &mut Session) -> Result<(), CommandError> {
    if args.follow {
        return follow::follow(args, session).await;
    }
    let (key, people) = (args.key.text(), People::of(session).await);
    let path = ["api", "keys", key.as_str(), "events"];
    session.list_told(&EVENTS, events_of(&path, args), |event| people.tell(event)).await
}

/// The events that are wanted, as a list on the server.
pub(super) fn events_of<'a>(path: &'a [&'a str], args: &TimelineArgs) -> List<'a> {
    let query = args.from.map(|from| ("from", from.0.to_string())).into_iter().collect();
    List { path, query, next: "from", limit: args.limit }
}
