//! Commands that hand out a full key: create and rotate. It is shown once, on stdout or in a file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use nemo_events::limits::KeyLimits;
use nemo_events::{KeyId, OrgId};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::KeyArg;
use super::change::called;
use crate::cli::consent::Consent;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::limits::LimitOptions;
use crate::cli::output::Output;
use crate::cli::remote::Session;
use crate::cli::render::keys::KEYS;
use crate::cli::render::{Cell, csv, json as lines_of, time};
use crate::cli::reply::Verbatim;
use crate::cli::secret::SecretFile;
use crate::cli::values::{OrgName, Span};
use crate::cli::views::{IssuedReply, Key, KeyReply, KeyRow};
use crate::clock::{Clock, SystemClock};

const ONCE: &str = "Save this key now. This is the only time the full key is shown.";

/// A new key.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The org that owns it, named by id or name
    #[arg(long, value_name = "ORG")]
    pub org: OrgName,
    /// What people call it
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The application that uses it
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// The job within the application
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// The environment, such as prod
    #[arg(long, value_name = "ENV")]
    pub env: Option<String>,
    /// The cost centre that pays
    #[arg(long, value_name = "COST-CENTRE")]
    pub cost_centre: Option<String>,
    /// A tag; repeatable
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Where the key goes.
    #[command(flatten)]
    pub target: Target,
    /// What it may do; without any limit the org's defaults hold.
    #[command(flatten)]
    pub limits: LimitOptions,
}

/// A new secret for a key.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Which.
    #[command(flatten)]
    pub key: KeyArg,
    /// For how long the earlier secret still works, such as 1h, or 0 for not at all; 1h without it
    #[arg(long, value_name = "SPAN", conflicts_with = "leaked")]
    pub overlap: Option<Span>,
    /// The earlier secret leaked: it is refused at once
    #[arg(long)]
    pub leaked: bool,
    /// Where the key goes.
    #[command(flatten)]
    pub target: Target,
    /// Whether it is meant.
    #[command(flatten)]
    pub consent: Consent,
}

/// Where a full key goes.
#[derive(Debug, Args)]
pub struct Target {
    /// Write the full key to this new file, readable by its owner only, instead of printing it
    #[arg(long, value_name = "PATH")]
    pub secret_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct NewKey<'a> {
    org: OrgId,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_centre: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<KeyLimits>,
}

/// `nemo keys create`
pub(super) async fn create(args: CreateArgs, session: &mut Session) -> Result<(), CommandError> {
    let limits = args.limits.for_new_key(SystemClock.now())?;
    let file = args.target.open()?;
    let wish = NewKey {
        org: session.org_id(&args.org).await?,
        name: &args.name,
        app: args.app.as_deref(),
        job: args.job.as_deref(),
        env: args.env.as_deref(),
        cost_centre: args.cost_centre.as_deref(),
        tags: &args.tags,
        limits,
    };
    let silent = wish.limits.is_none();
    let created = session.client.send(Method::POST, &["api", "keys"], &wish).await;
    let issued: Verbatim<IssuedReply> = created.map_err(|error| needs_limits(error, silent))?;
    session.screen.say(&format!("Created {}.", called(&issued.view.key)));
    hand_over(&issued, file, session)
}

/// `nemo keys rotate`
pub(super) async fn rotate(args: RotateArgs, session: &mut Session) -> Result<(), CommandError> {
    let file = args.target.open()?;
    let key = args.key.text();
    if args.leaked && args.consent.must_ask(&session.screen)? {
        let reply: KeyReply = session.client.get(&["api", "keys", &key], &[]).await?;
        session.screen.confirm(&format!(
            "Gives {} a new secret and refuses every earlier one at once: whatever still uses it stops working.",
            called(&reply.key)
        ))?;
    }
    let body = match args.overlap {
        Some(Span { secs }) => json!({ "overlap_secs": secs, "leaked": args.leaked }),
        None => json!({ "leaked": args.leaked }),
    };
    let path = ["api", "keys", key.as_str(), "rotate"];
    let issued: Verbatim<IssuedReply> = session.client.send(Method::POST, &path, &body).await?;
    session.screen.say(&what_rotating_did(&issued.view.key));
    hand_over(&issued, file, session)
}

/// Nothing was said about limits, and the org may have no defaults for them.
fn needs_limits(error: CommandError, silent: bool) -> CommandError {
    let next = "A key needs --budget WINDOW=DOLLARS, or --unlimited, or an org with limits for its new keys.";
    if silent && error.exit() == Exit::Usage { error.next(next.to_owned()) } else { error }
}

fn what_rotating_did(key: &Key) -> String {
    let earlier = key.secrets.iter().rev().find_map(|secret| Some((secret, secret.valid_until?)));
    let earlier = earlier.map_or_else(String::new, |(secret, until)| {
        format!(" The earlier one, …{}, is refused from {} on.", secret.last_four, time::to_the_second(until))
    });
    format!("{} has a new secret.{earlier}", called(key))
}

impl Target {
    fn open(&self) -> Result<Option<SecretFile>, CommandError> {
        self.secret_file.as_deref().map(SecretFile::create).transpose()
    }
}

fn hand_over(
    issued: &Verbatim<IssuedReply>,
    file: Option<SecretFile>,
    session: &mut Session,
) -> Result<(), CommandError> {
    let key = issued.view.key.id;
    let path = file.as_ref().map(|file| file.path().display().to_string());
    match file {
        Some(file) => file.keep(&issued.view.secret),
        None => show_once(issued, session),
    }
    .map_err(|error| lost(key, &error))?;
    let told = match &path {
        None => ONCE.to_owned(),
        Some(path) => format!("The full key is in {path} and is not shown again."),
    };
    session.screen.say(&told);
    session.screen.say(&try_it(session, path.as_deref()));
    if path.is_some() { show_without_secret(issued, session) } else { Ok(()) }
}

/// In a table's place the key stands alone, so that a script can take it as it is.
fn show_once(issued: &Verbatim<IssuedReply>, session: &mut Session) -> Result<(), CommandError> {
    let IssuedReply { key, secret } = &issued.view;
    let text = Zeroizing::new(match session.output {
        Output::Table => format!("{}\n", secret.expose_secret()),
        Output::Json | Output::Jsonl => lines_of::lines(std::iter::once(issued.json())),
        Output::Csv => {
            let name = Cell::Text(key.labels.name.clone());
            let ids = [key.id.to_string(), key.org.to_string(), secret.expose_secret().to_owned()];
            let [id, org, secret] = ids.map(Cell::Id);
            csv::header(["id", "name", "org", "secret"].into_iter()) + &csv::line(&[id, name, org, secret])
        }
    });
    session.screen.data(&text)
}

fn show_without_secret(issued: &Verbatim<IssuedReply>, session: &mut Session) -> Result<(), CommandError> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(issued.json()).unwrap_or_default();
    members.remove("secret");
    let reply = serde_json::to_string(&members).unwrap_or_default();
    session.row(&KEYS, &KeyRow::from(&issued.view.key), &reply)
}

/// A call that costs nothing and works with any key.
fn try_it(session: &Session, secret_file: Option<&str>) -> String {
    let url = session.client.server().at(&["v1", "models"]);
    let key = match secret_file {
        Some(path) => format!("$(cat '{}')", path.replace('\'', r"'\''")),
        None => "$NEMO_API_KEY".to_owned(),
    };
    format!("Try it: curl -H \"Authorization: Bearer {key}\" '{url}'")
}

/// The key exists, but its secret got lost on the last metre.
fn lost(key: KeyId, error: &CommandError) -> CommandError {
    let what = format!("The full key could not be handed over and cannot be shown again. {error}");
    CommandError::new(Exit::Failed, what)
        .next(format!("`nemo keys rotate {key} --overlap 0` gives it another one."))
}
