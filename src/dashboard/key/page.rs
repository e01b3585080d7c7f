//! From the address of a key to its page.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use maud::{DOCTYPE, Markup, html};
use nemo_events::{KeyId, Right, Timestamp};
use nemo_projections::key::Status;

use super::query::KeyQuery;
use super::{activity, cost, headroom, replay};
use crate::audit::{self, Look, Replay, ReplayError};
use crate::dashboard::components::{Tone, copyable, notice, secret_hint, status};
use crate::dashboard::{Page, Place, Shows, Visit};
use crate::error::FailureReply;
use crate::management::asked::Asked;
use crate::management::replay::not_replayed;
use crate::management::shapes::Key;

/// Rows of the list of events.
const EVENTS: usize = 25;

/// A key at a moment, as the pages show it.
pub(super) struct Shown {
    pub(super) id: KeyId,
    pub(super) key: Key,
    pub(super) replay: Replay,
    /// No moment was asked for, or none that there is.
    pub(super) is_now: bool,
    /// Whether it may be used now, whatever moment is shown.
    status_now: Status,
    /// Why the moment that was asked for is not shown.
    pub(super) wrong: Option<String>,
}

/// The page. What of it is replay is there for those who may replay.
///
/// # Errors
/// There is no such key, or it cannot be read.
pub(in crate::dashboard) async fn show(visit: Visit) -> Shows {
    let (asked, query) = (&visit.asked, KeyQuery::of(visit.query()));
    let replays = visit.may(Right::Replay);
    let query = if replays { query } else { KeyQuery::default() };
    let (id, now) = (asked.key_id()?, visit.now());
    let shown = look(asked, id, &query).await?;
    let cost = cost::of_key(asked, id, shown.replay.as_of).await;
    let left = html! { (headroom::section(&shown)) (cost::section(&cost)) };
    let content = if replays {
        let events = list(asked, &shown, &query, now).await?;
        let state = html! { (not_shown(&shown)) (replay::section(&shown)) };
        let follows = shown.is_now && query.before.is_none() && query.after.is_none();
        html! { div .stack data-position=[position(asked)] {
            (part(follows, "replay", &state)) (part(follows, "left", &left)) (part(follows, "activity", &events))
        } }
    } else {
        part(true, "left", &left)
    };
    let org = shown.key.org;
    // An org whose name cannot be told just now is still known by its id.
    let org = asked.read(None, move |reader| reader.org_name(org)).await.ok().and_then(|answer| answer.value);
    let name = title(&shown.key);
    let heading = html! { (name) " " span .secret-hint { (secret_hint(&last_four(&shown.key))) } };
    let page = Page::new(Place::Keys, &name)
        .status(if shown.wrong.is_some() { StatusCode::NOT_FOUND } else { StatusCode::OK })
        .under("/keys", "Keys")
        .heading(heading)
        .lede(lede(&shown, org.as_deref()))
        .sheets(&["key.css"])
        .modules(&["live.js", "replay.js"]);
    let page = if visit.may(Right::ManageKeys) { page.actions(actions(&shown)) } else { page };
    Ok(page.reply(&visit.viewer, &content))
}

/// The state at a moment alone, for the slider.
///
/// # Errors
/// There is no such key, or it cannot be read.
pub(in crate::dashboard) async fn fragment(visit: Visit) -> Shows {
    let shown = look(&visit.asked, visit.asked.key_id()?, &KeyQuery::of(visit.query())).await?;
    let page =
        html! { (DOCTYPE) html lang="en" { head { title { "Replay" } } body { (replay::section(&shown)) } } };
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page.into_string()))
}

/// What lists reflect, for whatever follows the ledger.
fn position(asked: &Asked) -> Option<u64> {
    asked.app().read_side.progress().position.map(|position| position.0)
}

/// A part of the page, which follows the ledger or does not.
fn part(follows: bool, name: &str, content: &Markup) -> Markup {
    html! { div .stack data-live=[follows.then_some(name)] { (content) } }
}

fn not_shown(shown: &Shown) -> Markup {
    html! { @if let Some(wrong) = &shown.wrong { (notice(Tone::Warning, "That moment is not shown", &html! { p { (wrong) } })) } }
}

async fn list(
    asked: &Asked,
    shown: &Shown,
    query: &KeyQuery,
    now: Timestamp,
) -> Result<Markup, FailureReply> {
    let look = match (query.before, query.after) {
        (Some(before), _) => Look::Backwards(Some(before)),
        (None, Some(after)) => Look::Forwards(after),
        (None, None) => Look::Backwards(Some(shown.replay.revision)),
    };
    let found = audit::activity(asked.app(), shown.id, &query.filter, look, EVENTS).await;
    let found = found.map_err(|error| asked.not_executed(&error))?;
    Ok(activity::section(shown, query, &found, look, now))
}

/// The key at the moment that is asked for; as it is now where there is no such moment, and why.
async fn look(asked: &Asked, id: KeyId, query: &KeyQuery) -> Result<Shown, FailureReply> {
    let ledger = &asked.app().ledger;
    let (moment, mut wrong) = match query.moment() {
        Ok(moment) => (moment, None),
        Err(why) => (None, Some(why.to_owned())),
    };
    let replay = match audit::replay(ledger, id, moment).await {
        Err(error @ (ReplayError::BeforeCreation | ReplayError::BeyondHead(_))) => {
            wrong = Some(format!("There is no such moment: {error}. This is the key as it is now."));
            audit::replay(ledger, id, None).await
        }
        replay => replay,
    };
    let replay = replay.map_err(|error| not_replayed(asked, &error))?;
    let key = Key::of(id, &replay.account, replay.as_of).ok().flatten();
    let key = key.ok_or_else(|| not_replayed(asked, &ReplayError::NoSuchKey))?;
    let is_now = moment.is_none() || wrong.is_some();
    let status_now = replay.status_now;
    Ok(Shown { id, key, replay, is_now, status_now, wrong })
}

fn title(key: &Key) -> String {
    if key.labels.name.is_empty() { key.id.to_string() } else { key.labels.name.clone() }
}

fn last_four(key: &Key) -> String {
    key.secrets.last().map(|secret| secret.last_four.clone()).unwrap_or_default()
}

/// What a status is called, and how it bears on whoever reads it.
pub(super) fn standing(key: &Key, now: Timestamp) -> (&'static str, Tone) {
    match key.status {
        Status::Active if key.limits.expires_at.is_some_and(|at| at <= now) => ("Expired", Tone::Ended),
        Status::Active => ("Active", Tone::Good),
        Status::Blocked => ("Blocked", Tone::Warning),
        Status::Revoked => ("Revoked", Tone::Ended),
    }
}

fn lede(shown: &Shown, org: Option<&str>) -> Markup {
    let key = &shown.key;
    let (word, tone) = standing(key, shown.replay.as_of);
    let labels = [
        ("app", &key.labels.app),
        ("job", &key.labels.job),
        ("env", &key.labels.env),
        ("cost centre", &key.labels.cost_centre),
    ];
    html! {
        div .key-facts {
            (status(word, tone))
            (copyable(&shown.id.to_string(), "key id"))
            a .chip href={ "/orgs/" (key.org) } title=(key.org) {
                "org "
                @match org {
                    Some(name) => strong { (name) },
                    None => code { (key.org.to_string().chars().take(8).collect::<String>()) },
                }
            }
            @for (what, value) in labels {
                @if let Some(value) = value { span .chip { (what) " " strong { (value) } } }
            }
            @for tag in &key.labels.tags { span .chip { (tag) } }
        }
    }
}

/// What can be done with the key as it is now, whatever moment is shown.
fn actions(shown: &Shown) -> Markup {
    let path = format!("/keys/{}", shown.id);
    html! {
        @if shown.status_now != Status::Revoked {
            a .button.in-dialog href={ (path) "/rotate" } { "Rotate" }
            a .button.in-dialog href={ (path) "/limits" } { "Edit limits" }
            @if shown.status_now == Status::Blocked { a .button.in-dialog href={ (path) "/unblock" } { "Unblock" } }
            @else { a .button.in-dialog href={ (path) "/block" } { "Block" } }
            a .button.danger.in-dialog href={ (path) "/revoke" } { "Revoke" }
        }
    }
}
