//! What an org gives new keys, and what it bounds all its keys to. Each is changed by itself; the other stays.

use clap::Args;
use nemo_events::limits::KeyLimits;
use nemo_events::org::OrgLimits;
use reqwest::Method;

use super::{OrgArg, change};
use crate::cli::exit::CommandError;
use crate::cli::limits::{LimitOptions, Removable, without};
use crate::cli::remote::Session;
use crate::cli::render::org_detail::that_stand_outside;
use crate::cli::views::{KeysOutside, LimitsOfOrg, OrgReply};
use crate::clock::{Clock, SystemClock};

/// Limits that an org states for its keys; what is not given stays.
#[derive(Debug, Args)]
pub struct OrgLimitsArgs {
    /// Which.
    #[command(flatten)]
    pub org: OrgArg,
    /// What changes.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// Take a limit away; repeatable
    #[arg(long, value_name = "LIMIT", value_enum)]
    pub remove: Vec<Removable>,
    /// Take all of them away
    #[arg(long, conflicts_with = "remove")]
    pub none: bool,
}

/// `nemo orgs defaults`
pub(super) async fn defaults(args: OrgLimitsArgs, session: &mut Session) -> Result<(), CommandError> {
    let said = |_: &OrgReply| {
        "A new key that states no limits gets these. Keys that exist keep what they have.".to_owned()
    };
    set(args, session, |limits| &mut limits.key_defaults, said).await
}

/// `nemo orgs bounds`
pub(super) async fn bounds(args: OrgLimitsArgs, session: &mut Session) -> Result<(), CommandError> {
    let said = |reply: &OrgReply| match &reply.keys_outside_bounds {
        None if reply.org.limits.key_bounds.is_none() => "Nothing bounds the org's keys any more.".to_owned(),
        None => "No key gets wider than that from now on. Which ones are already cannot be told just now."
            .to_owned(),
        Some(KeysOutside { count: 0, .. }) => {
            "No key gets wider than that from now on, and none is.".to_owned()
        }
        Some(outside) => format!("No key gets wider than that from now on. {}", that_stand_outside(outside)),
    };
    set(args, session, |limits| &mut limits.key_bounds, said).await
}

async fn set(
    args: OrgLimitsArgs,
    session: &mut Session,
    part: impl FnOnce(&mut OrgLimits) -> &mut Option<KeyLimits>,
    said: impl FnOnce(&OrgReply) -> String,
) -> Result<(), CommandError> {
    let OrgLimitsArgs { org, limits: options, remove, none } = args;
    if options.are_silent() && remove.is_empty() && !none {
        let what = "Nothing to change: give a limit, --remove one, or --none for none at all.";
        return Err(
            CommandError::usage(what).next("`nemo orgs show ORG` shows the limits as they are.".to_owned())
        );
    }
    let id = session.org_id(&org.org).await?.to_string();
    let before: LimitsOfOrg = session.client.get(&["api", "orgs", &id], &[]).await?;
    let mut limits = before.org.limits;
    let part = part(&mut limits);
    let kept = if none { KeyLimits::default() } else { without(part.take().unwrap_or_default(), &remove) };
    let after = options.changed(kept, SystemClock.now())?;
    *part = (after != KeyLimits::default()).then_some(after);
    change(session, Method::PUT, &["api", "orgs", &id, "limits"], &limits, said).await
}
