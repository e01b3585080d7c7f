//! `nemo operators`: people who sign in to the dashboard. No password is ever typed here: people choose their
//! own, with a link.

use clap::{Args, Subcommand, ValueEnum};
use nemo_events::OperatorId;
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use crate::cli::consent::Consent;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::remote::{List, Place, RemoteOptions, Session};
use crate::cli::render::operators::{LINK, OPERATORS, SIGNED_OUT};
use crate::cli::reply::Verbatim;
use crate::cli::views::{LinkReply, Operator, OperatorLink, OperatorReply, SignedOut};

/// People who sign in: list, make links, give roles, sign out, remove
#[derive(Debug, Args)]
pub struct OperatorsArgs {
    /// Where and how.
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: OperatorsCommand,
}

/// What can be done about people.
#[derive(Debug, Subcommand)]
pub enum OperatorsCommand {
    /// List the people who may sign in
    List(ListArgs),
    /// Make a link with which one person, once, chooses a password
    Link(LinkArgs),
    /// Give a person another role, and sign them out
    Role(RoleArgs),
    /// Sign a person out everywhere, or everybody
    SignOut(SignOutArgs),
    /// Remove a person, for good
    Remove(RemoveArgs),
}

/// What somebody is here for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleValue {
    /// Manages everything, other people included
    Admin,
    /// Looks at spend and prices
    Finance,
    /// Looks at what happened, and proves it
    Auditor,
}

impl RoleValue {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Finance => "finance",
            Self::Auditor => "auditor",
        }
    }
}

/// Whom to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Also those who were removed
    #[arg(long)]
    pub removed: bool,
}

/// Which person.
#[derive(Debug, Args)]
pub struct OperatorArg {
    /// The person's name or id
    #[arg(value_name = "OPERATOR")]
    pub operator: String,
}

/// Whom the link is for.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// The name or id of somebody who forgot their password; without it, the link is for another person
    #[arg(value_name = "OPERATOR", required_unless_present = "role")]
    pub operator: Option<String>,
    /// The role of the other person who comes by the link
    #[arg(long, value_name = "ROLE", value_enum, conflicts_with = "operator")]
    pub role: Option<RoleValue>,
}

/// Who gets which role.
#[derive(Debug, Args)]
pub struct RoleArgs {
    /// Who.
    #[command(flatten)]
    pub operator: OperatorArg,
    /// Their role from now on
    #[arg(value_name = "ROLE", value_enum)]
    pub role: RoleValue,
}

/// Who is signed out.
#[derive(Debug, Args)]
pub struct SignOutArgs {
    /// The person's name or id
    #[arg(value_name = "OPERATOR", required_unless_present = "everybody")]
    pub operator: Option<String>,
    /// Everybody; links that wait to be used lead nowhere any more either
    #[arg(long, conflicts_with = "operator")]
    pub everybody: bool,
}

/// Who goes, and why.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Who.
    #[command(flatten)]
    pub operator: OperatorArg,
    /// Why, for whoever reads the ledger
    #[arg(long, value_name = "WHY")]
    pub reason: Option<String>,
    /// Whether it is meant.
    #[command(flatten)]
    pub consent: Consent,
}

/// Runs a command on people.
///
/// # Errors
/// Why it did not work.
pub async fn run(command: OperatorsCommand, session: &mut Session) -> Result<(), CommandError> {
    match command {
        OperatorsCommand::List(ListArgs { removed }) => list(removed, session).await,
        OperatorsCommand::Link(args) => link(&args, session).await,
        OperatorsCommand::Role(args) => role(&args, session).await,
        OperatorsCommand::SignOut(args) => sign_out(&args, session).await,
        OperatorsCommand::Remove(args) => remove(&args, session).await,
    }
}

async fn list(removed: bool, session: &mut Session) -> Result<(), CommandError> {
    let query = if removed { vec![("removed", "true".to_owned())] } else { Vec::new() };
    let list = List { path: &["api", "operators"], query, next: "cursor", limit: None };
    session.list(&OPERATORS, list).await
}

async fn link(args: &LinkArgs, session: &mut Session) -> Result<(), CommandError> {
    let (path, body) = match (&args.operator, args.role) {
        (Some(name), _) => {
            let id = id_of(name, session).await?.to_string();
            (vec!["api".to_owned(), "operators".to_owned(), id, "link".to_owned()], json!({}))
        }
        (None, role) => {
            let role = role.unwrap_or(RoleValue::Auditor).as_str();
            let path = ["api", "operators", "links"].map(str::to_owned).to_vec();
            (path, json!({ "role": role }))
        }
    };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let LinkReply { path, valid_until } = session.client.send(Method::POST, &path, &body).await?;
    let server = session.client.server().to_string();
    let made = OperatorLink { link: format!("{}{path}", server.trim_end_matches('/')), valid_until };
    let json = serde_json::to_string(&made)
        .map_err(|error| CommandError::new(Exit::Failed, format!("The link cannot be written: {error}.")))?;
    session.row(&LINK, &made, &json)?;
    session.screen.say("Give it to the one person it is for. It works once, and is shown only now.");
    Ok(())
}

async fn role(args: &RoleArgs, session: &mut Session) -> Result<(), CommandError> {
    let id = id_of(&args.operator.operator, session).await?.to_string();
    let body = json!({ "role": args.role.as_str() });
    let said = |person: &Operator| format!("{} is {} and was signed out.", called(person), person.role);
    change(session, Method::PUT, &["api", "operators", &id, "role"], &body, said).await
}

async fn sign_out(args: &SignOutArgs, session: &mut Session) -> Result<(), CommandError> {
    let Some(name) = &args.operator else {
        let path = ["api", "operators", "sign-out"];
        let reply: Verbatim<SignedOut> = session.client.send(Method::POST, &path, &json!({})).await?;
        session.row(&SIGNED_OUT, &reply.view, reply.json())?;
        session.screen.say("Everybody was signed out, and no link that was made before leads anywhere.");
        return Ok(());
    };
    let id = id_of(name, session).await?.to_string();
    let said = |person: &Operator| format!("{} was signed out everywhere.", called(person));
    change(session, Method::POST, &["api", "operators", &id, "sign-out"], &json!({}), said).await
}

async fn remove(args: &RemoveArgs, session: &mut Session) -> Result<(), CommandError> {
    let RemoveArgs { operator, reason, consent } = args;
    let asks = consent.must_ask(&session.screen)?;
    let id = id_of(&operator.operator, session).await?.to_string();
    if asks {
        session.screen.confirm(&format!(
            "Removes “{}”, for good: they are signed out at once and cannot sign in again. What they did stays \
             attributed to them.",
            operator.operator
        ))?;
    }
    let said = |person: &Operator| format!("{} was removed.", called(person));
    let body = json!({ "reason": reason });
    change(session, Method::DELETE, &["api", "operators", &id], &body, said).await
}

fn called(person: &Operator) -> String {
    format!("“{}”", person.name)
}

async fn change(
    session: &mut Session,
    method: Method,
    path: &[&str],
    body: &impl Serialize,
    said: impl FnOnce(&Operator) -> String,
) -> Result<(), CommandError> {
    let reply: Verbatim<OperatorReply> = session.client.send(method, path, body).await?;
    session.row(&OPERATORS, &reply.view.operator, reply.json())?;
    session.screen.say(&said(&reply.view.operator));
    Ok(())
}

/// The id of a person who was named in either way. Names are told apart without regard to case.
async fn id_of(name: &str, session: &Session) -> Result<OperatorId, CommandError> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let list = List { path: &["api", "operators"], query: Vec::new(), next: "cursor", limit: None };
    let mut place: Option<Place> = None;
    loop {
        let page = session.page::<Operator>(&list, place.as_ref(), u64::MAX).await?;
        let wanted =
            |person: &&Verbatim<Operator>| person.view.name.to_lowercase() == name.trim().to_lowercase();
        if let Some(person) = page.items.iter().find(wanted) {
            return Ok(person.view.id);
        }
        let next = page.next_cursor;
        if next.is_none() || next == place {
            let what = format!("There is no operator named “{name}”.");
            let next = "`nemo operators list` shows those that there are.";
            return Err(CommandError::new(Exit::NotFound, what).next(next.to_owned()));
        }
        place = next;
    }
}
