//! Changing keys: labels, limits, block, unblock, revoke. What hands out a secret is in `issue.rs`.

use clap::{Args, ValueEnum};
use nemo_events::key::Labels;
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use super::KeyArg;
use crate::cli::consent::Consent;
use crate::cli::exit::CommandError;
use crate::cli::limits::{LimitOptions, Removable, without};
use crate::cli::remote::Session;
use crate::cli::render::keys::KEYS;
use crate::cli::render::{money, time};
use crate::cli::reply::Verbatim;
use crate::cli::views::{Key, KeyReply, KeyRow, LabelsOfKey, LimitsOfKey};
use crate::clock::{Clock, SystemClock};

/// What a key is for from now on; what is not given stays.
#[derive(Debug, Args)]
pub struct RelabelArgs {
    /// Which.
    #[command(flatten)]
    pub key: KeyArg,
    /// What people call it
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
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
    /// A tag, in place of all tags that there are; repeatable
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Take a label away; repeatable
    #[arg(long, value_name = "LABEL", value_enum)]
    pub remove: Vec<RemovableLabel>,
}

/// A label that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "each name is the option's that sets it")]
pub enum RemovableLabel {
    App,
    Job,
    Env,
    CostCentre,
    Tags,
}

/// What a key may do from now on; what is not given stays.
#[derive(Debug, Args)]
pub struct LimitsArgs {
    /// Which.
    #[command(flatten)]
    pub key: KeyArg,
    /// What changes.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// Take a limit away; repeatable
    #[arg(long, value_name = "LIMIT", value_enum)]
    pub remove: Vec<Removable>,
}

/// Which key, and why.
#[derive(Debug, Args)]
pub struct ReasonArgs {
    /// Which.
    #[command(flatten)]
    pub key: KeyArg,
    /// Why, for whoever reads the ledger
    #[arg(long, value_name = "WHY")]
    pub reason: Option<String>,
}

/// Which key ends, and why.
#[derive(Debug, Args)]
pub struct EndArgs {
    /// Which, and why.
    #[command(flatten)]
    pub why: ReasonArgs,
    /// Whether it is meant.
    #[command(flatten)]
    pub consent: Consent,
}

/// Which secret of a key stops working.
#[derive(Debug, Args)]
pub struct Retire {
    /// Which key.
    #[command(flatten)]
    pub key: KeyArg,
    /// The secret's version, as `nemo keys show` tells it
    #[arg(long, value_name = "VERSION")]
    pub version: u32,
}

/// Which model a key may call again.
#[derive(Debug, Args)]
pub struct Clear {
    /// Which key.
    #[command(flatten)]
    pub key: KeyArg,
    /// The provider, as `nemo keys show` tells it
    #[arg(long, value_name = "PROVIDER")]
    pub provider: String,
    /// The model's name there
    #[arg(long, value_name = "MODEL")]
    pub provider_model: String,
}

/// `nemo keys relabel`
pub(super) async fn relabel(args: RelabelArgs, session: &mut Session) -> Result<(), CommandError> {
    if !args.changes_anything() {
        return Err(CommandError::usage("Nothing to change: give a label, or --remove one."));
    }
    let before: LabelsOfKey = session.client.get(&["api", "keys", &args.key.text()], &[]).await?;
    let key = args.key.text();
    let labels = args.changed(before.key.labels);
    let said = |_: &KeyReply| "Calls from now on are attributed to the new labels.".to_owned();
    put(session, &["api", "keys", &key, "labels"], &labels, said).await
}

/// `nemo keys limits`
pub(super) async fn limits(args: LimitsArgs, session: &mut Session) -> Result<(), CommandError> {
    if args.limits.are_silent() && args.remove.is_empty() {
        let next = format!("`nemo keys show {}` shows the limits as they are.", args.key.key);
        return Err(CommandError::usage("Nothing to change: give a limit, or --remove one.").next(next));
    }
    let key = args.key.text();
    let before: LimitsOfKey = session.client.get(&["api", "keys", &key], &[]).await?;
    let kept = without(before.key.limits, &args.remove);
    let limits = args.limits.changed(kept, SystemClock.now())?;
    let said = |_: &KeyReply| "The new limits hold from the next call on.".to_owned();
    put(session, &["api", "keys", &key, "limits"], &limits, said).await
}

/// `nemo keys block`
pub(super) async fn block(args: &ReasonArgs, session: &mut Session) -> Result<(), CommandError> {
    let said = |reply: &KeyReply| {
        format!("{} is {}: it is refused until it is unblocked.", called(&reply.key), reply.key.status)
    };
    post(session, &args.key, "block", &json!({ "reason": args.reason }), said).await
}

/// `nemo keys unblock`
pub(super) async fn unblock(key: &KeyArg, session: &mut Session) -> Result<(), CommandError> {
    let said = |reply: &KeyReply| format!("{} is {}.", called(&reply.key), reply.key.status);
    post(session, key, "unblock", &json!({}), said).await
}

/// `nemo keys retire-secret`
pub(super) async fn retire_secret(args: &Retire, session: &mut Session) -> Result<(), CommandError> {
    let said = |reply: &KeyReply| {
        format!("Version {} of {} is refused from now on.", args.version, called(&reply.key))
    };
    post(session, &args.key, "retire-secret", &json!({ "version": args.version }), said).await
}

/// `nemo keys clear-model`
pub(super) async fn clear_model(args: &Clear, session: &mut Session) -> Result<(), CommandError> {
    let body = json!({ "provider": args.provider, "provider_model": args.provider_model });
    let said = |reply: &KeyReply| format!("{} may call {} again.", called(&reply.key), args.provider_model);
    post(session, &args.key, "clear-model", &body, said).await
}

/// `nemo keys revoke`
pub(super) async fn revoke(args: &EndArgs, session: &mut Session) -> Result<(), CommandError> {
    let EndArgs { why: ReasonArgs { key, reason }, consent } = args;
    if consent.must_ask(&session.screen)? {
        let reply: KeyReply = session.client.get(&["api", "keys", &key.text()], &[]).await?;
        session.screen.confirm(&what_revoking_does(&reply.key))?;
    }
    let said = |reply: &KeyReply| {
        let cut = money::grouped(reply.calls_cut);
        format!("{} is revoked, for good. Calls in flight that were cut: {cut}.", called(&reply.key))
    };
    post(session, key, "revoke", &json!({ "reason": reason }), said).await
}

/// A key by its id and name.
pub(super) fn called(key: &Key) -> String {
    format!("{} “{}”", key.id, key.labels.name)
}

fn what_revoking_does(key: &Key) -> String {
    let last_used = key.attribution.last_used_at.map_or_else(|| "never".to_owned(), time::to_the_second);
    format!(
        "Revokes {}, for good: no call is made with it any more, and calls in flight ({}) are cut. Last used: \
         {last_used}. Its history and spend stay.",
        called(key),
        money::grouped(key.open_calls.count),
    )
}

impl RelabelArgs {
    fn changes_anything(&self) -> bool {
        let given = [&self.name, &self.app, &self.job, &self.env, &self.cost_centre];
        given.into_iter().any(Option::is_some) || !self.tags.is_empty() || !self.remove.is_empty()
    }

    fn changed(self, before: Labels) -> Labels {
        let kept = |label: RemovableLabel, before| if self.remove.contains(&label) { None } else { before };
        let keeps_tags = self.tags.is_empty() && !self.remove.contains(&RemovableLabel::Tags);
        Labels {
            name: self.name.unwrap_or(before.name),
            app: self.app.or_else(|| kept(RemovableLabel::App, before.app)),
            job: self.job.or_else(|| kept(RemovableLabel::Job, before.job)),
            env: self.env.or_else(|| kept(RemovableLabel::Env, before.env)),
            cost_centre: self.cost_centre.or_else(|| kept(RemovableLabel::CostCentre, before.cost_centre)),
            tags: if keeps_tags { before.tags } else { self.tags },
        }
    }
}

async fn put(
    session: &mut Session,
    path: &[&str],
    body: &impl Serialize,
    said: impl FnOnce(&KeyReply) -> String,
) -> Result<(), CommandError> {
    let reply = session.client.send(Method::PUT, path, body).await?;
    tell(session, &reply, said)
}

async fn post(
    session: &mut Session,
    key: &KeyArg,
    what: &str,
    body: &impl Serialize,
    said: impl FnOnce(&KeyReply) -> String,
) -> Result<(), CommandError> {
    let reply = session.client.send(Method::POST, &["api", "keys", &key.text(), what], body).await?;
    tell(session, &reply, said)
}

fn tell(
    session: &mut Session,
    reply: &Verbatim<KeyReply>,
    said: impl FnOnce(&KeyReply) -> String,
) -> Result<(), CommandError> {
    session.row(&KEYS, &KeyRow::from(&reply.view.key), reply.json())?;
    session.screen.say(&said(&reply.view));
    Ok(())
}
