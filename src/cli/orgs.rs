//! `nemo orgs`: the owners of keys.

mod budgets;
mod limits;

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use crate::cli::consent::Consent;
use crate::cli::exit::CommandError;
use crate::cli::output::Output;
use crate::cli::remote::{List, RemoteOptions, Session};
use crate::cli::render::money::grouped;
use crate::cli::render::org_detail;
use crate::cli::render::orgs::ORGS;
use crate::cli::reply::Verbatim;
use crate::cli::values::OrgName;
use crate::cli::views::{Org, OrgReply};

/// Orgs: create, list, show, rename, limit, suspend, resume, archive
#[derive(Debug, Args)]
pub struct OrgsArgs {
    /// Where and how.
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: OrgsCommand,
}

/// What can be done with orgs.
#[derive(Debug, Subcommand)]
pub enum OrgsCommand {
    /// Create an org
    Create(NameArg),
    /// List orgs, newest first
    List(ListArgs),
    /// Show one org
    Show(OrgArg),
    /// Give an org another name
    Rename(RenameArgs),
    /// Set the limits that new keys of an org get which state none
    Defaults(limits::OrgLimitsArgs),
    /// Set what no key of an org may be wider than
    Bounds(limits::OrgLimitsArgs),
    /// Set budgets that all keys of an org share
    Budgets(budgets::OrgBudgetsArgs),
    /// Refuse all keys of an org until it is resumed
    Suspend(ReasonArgs),
    /// Let the keys of a suspended org work again
    Resume(OrgArg),
    /// Archive an org and revoke all its keys, for good
    Archive(ArchiveArgs),
}

/// A new org's name.
#[derive(Debug, Args)]
pub struct NameArg {
    /// What people call it
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// An org's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusValue {
    /// Its keys may be used
    Active,
    /// They may not until it is resumed
    Suspended,
    /// Never again
    Archived,
}

impl StatusValue {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Archived => "archived",
        }
    }
}

/// Which orgs to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Orgs of this status
    #[arg(long, value_name = "STATUS", value_enum)]
    pub status: Option<StatusValue>,
    /// Part of the name
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// How many to list at most; all without it
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Wait until the list reflects this position, as an earlier change answered it
    #[arg(long, value_name = "POSITION")]
    pub min_position: Option<u64>,
}

/// Which org.
#[derive(Debug, Args)]
pub struct OrgArg {
    /// The org's id or its name
    #[arg(value_name = "ORG")]
    pub org: OrgName,
}

/// Which org gets which name.
#[derive(Debug, Args)]
pub struct RenameArgs {
    /// Which.
    #[command(flatten)]
    pub org: OrgArg,
    /// Its name from now on
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Which org, and why.
#[derive(Debug, Args)]
pub struct ReasonArgs {
    /// Which.
    #[command(flatten)]
    pub org: OrgArg,
    /// Why, for whoever reads the ledger
    #[arg(long, value_name = "WHY")]
    pub reason: Option<String>,
}

/// Which org ends, and why.
#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// Which, and why.
    #[command(flatten)]
    pub why: ReasonArgs,
    /// Whether it is meant.
    #[command(flatten)]
    pub consent: Consent,
}

/// Runs a command on orgs.
///
/// # Errors
/// Why it did not work.
pub async fn run(command: OrgsCommand, session: &mut Session) -> Result<(), CommandError> {
    match command {
        OrgsCommand::Create(NameArg { name }) => {
            let said = |reply: &OrgReply| format!("Created {}.", called(&reply.org));
            change(session, Method::POST, &["api", "orgs"], &json!({ "name": name }), said).await
        }
        OrgsCommand::List(args) => list(args, session).await,
        OrgsCommand::Show(OrgArg { org }) => show(&org, session).await,
        OrgsCommand::Rename(args) => rename(&args, session).await,
        OrgsCommand::Defaults(args) => limits::defaults(args, session).await,
        OrgsCommand::Bounds(args) => limits::bounds(args, session).await,
        OrgsCommand::Budgets(args) => budgets::budgets(args, session).await,
        OrgsCommand::Suspend(args) => suspend(&args, session).await,
        OrgsCommand::Resume(OrgArg { org }) => resume(&org, session).await,
        OrgsCommand::Archive(args) => archive(&args, session).await,
    }
}

async fn list(args: ListArgs, session: &mut Session) -> Result<(), CommandError> {
    let ListArgs { status, search, limit, min_position } = args;
    let filters = [
        ("status", status.map(|status| status.as_str().to_owned())),
        ("q", search),
        ("min_position", min_position.map(|position| position.to_string())),
    ];
    let query = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    session.list(&ORGS, List { path: &["api", "orgs"], query, next: "cursor", limit }).await
}

async fn show(org: &OrgName, session: &mut Session) -> Result<(), CommandError> {
    let id = session.org_id(org).await?.to_string();
    let reply: Verbatim<OrgReply> = session.client.get(&["api", "orgs", &id], &[]).await?;
    match session.output {
        Output::Table => {
            let page = org_detail::page(&reply.view, session.screen.look);
            session.screen.data(&page)
        }
        Output::Json | Output::Jsonl | Output::Csv => session.row(&ORGS, &reply.view.org, reply.json()),
    }
}

async fn rename(args: &RenameArgs, session: &mut Session) -> Result<(), CommandError> {
    let id = session.org_id(&args.org.org).await?.to_string();
    let said = |reply: &OrgReply| format!("Renamed {}.", called(&reply.org));
    change(session, Method::PATCH, &["api", "orgs", &id], &json!({ "name": args.name }), said).await
}

async fn suspend(args: &ReasonArgs, session: &mut Session) -> Result<(), CommandError> {
    let id = session.org_id(&args.org.org).await?.to_string();
    let said =
        |reply: &OrgReply| format!("{} is {}: its keys are refused.", called(&reply.org), reply.org.status);
    change(session, Method::POST, &["api", "orgs", &id, "suspend"], &json!({ "reason": args.reason }), said)
        .await
}

async fn resume(org: &OrgName, session: &mut Session) -> Result<(), CommandError> {
    let id = session.org_id(org).await?.to_string();
    let said =
        |reply: &OrgReply| format!("{} is {}: its keys work again.", called(&reply.org), reply.org.status);
    change(session, Method::POST, &["api", "orgs", &id, "resume"], &json!({}), said).await
}

async fn archive(args: &ArchiveArgs, session: &mut Session) -> Result<(), CommandError> {
    let ArchiveArgs { why: ReasonArgs { org, reason }, consent } = args;
    let asks = consent.must_ask(&session.screen)?;
    let id = session.org_id(&org.org).await?.to_string();
    if asks {
        let reply: OrgReply = session.client.get(&["api", "orgs", &id], &[]).await?;
        session.screen.confirm(&format!(
            "Archives {} and revokes all its keys, for good: every job that uses one stops. Its history and \
             spend stay.",
            called(&reply.org)
        ))?;
    }
    let said = |reply: &OrgReply| {
        let (keys, calls) = (grouped(reply.keys_revoked), grouped(reply.calls_cut));
        format!("{} is archived, for good. Keys revoked: {keys}. Calls cut: {calls}.", called(&reply.org))
    };
    change(session, Method::DELETE, &["api", "orgs", &id], &json!({ "reason": reason }), said).await
}

fn called(org: &Org) -> String {
    format!("org {} “{}”", org.id, org.name)
}

async fn change(
    session: &mut Session,
    method: Method,
    path: &[&str],
    body: &impl Serialize,
    said: impl FnOnce(&OrgReply) -> String,
) -> Result<(), CommandError> {
    let reply: Verbatim<OrgReply> = session.client.send(method, path, body).await?;
    session.row(&ORGS, &reply.view.org, reply.json())?;
    session.screen.say(&said(&reply.view));
    Ok(())
}
