//! Webhooks: who is told, how far each has come, and whether its receiver takes a message.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use nemo_events::{Position, Timestamp};
use nemo_projections::notice::NoticeKind;
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::input::{AsOf, Body, Nothing, Query};
use crate::app::App;
use crate::error::Failure;
use crate::webhooks::{Failing, Finished, Webhook};

/// `GET /api/webhooks`
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookList {
    /// The rows, in the order of the configuration.
    pub(crate) webhooks: Vec<WebhookRow>,
}

/// A webhook, as the node that answers knows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookRow {
    /// Its name.
    pub(crate) name: String,
    /// Where messages go: scheme, host and port. What follows may be a secret, and is not told.
    pub(crate) receiver: String,
    /// What it is told of.
    pub(crate) events: Vec<NoticeKind>,
    /// How it stands.
    pub(crate) state: WebhookState,
    /// The position up to which nothing is sent any more; `null` before the ledger's first event, and where
    /// another node sends.
    pub(crate) position: Option<Position>,
    /// Messages that wait; `null` while that cannot be read, and where another node sends.
    pub(crate) backlog: Option<u64>,
    /// When the oldest of them was recorded.
    pub(crate) oldest: Option<Timestamp>,
    /// What was delivered last, since this node started.
    pub(crate) delivered: Option<Finished>,
    /// What is tried again.
    pub(crate) failing: Option<Failing>,
    /// What was given up last, since this node started.
    pub(crate) given_up: Option<Finished>,
}

/// How a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebhookState {
    /// Its receiver took what there was, or is about to.
    Delivering,
    /// Its receiver does not take a message; those that come after it wait.
    Failing,
    /// Another node sends.
    Elsewhere,
}

/// Tells of all webhooks.
pub(super) async fn list(asked: Asked, Query(_): Query<AsOf>) -> Reply {
    Ok(HttpResponse::Ok().json(gather(asked.app()).await))
}

/// Sends a test to a webhook's receiver, once, and tells what came of it.
pub(super) async fn test(asked: Asked, Body(Nothing {}): Body<Nothing>) -> Reply {
    let Some(webhook) = asked.app().webhooks.get(asked.path_id()) else {
        let why = "There is no webhook of this name. `GET /api/webhooks` lists those that there are.";
        return Err(asked.refused(Failure::new(StatusCode::NOT_FOUND, "webhook_not_found", why)));
    };
    Ok(HttpResponse::Ok().json(webhook.test(asked.app().ledger.now()).await))
}

/// All webhooks.
pub(crate) async fn gather(app: &App) -> WebhookList {
    let mut webhooks = Vec::new();
    for webhook in app.webhooks.iter() {
        webhooks.push(row(app, webhook).await);
    }
    WebhookList { webhooks }
}

async fn row(app: &App, webhook: &Webhook) -> WebhookRow {
    let standing = webhook.now();
    let position = standing.cursor.position;
    let backlog = match webhook.sends {
        true => app.read_side.outbox().backlog(position, webhook.kinds()).await.ok(),
        false => None,
    };
    let state = match (webhook.sends, &standing.failing) {
        (false, _) => WebhookState::Elsewhere,
        (true, Some(_)) => WebhookState::Failing,
        (true, None) => WebhookState::Delivering,
    };
    WebhookRow {
        name: webhook.entry.name.clone(),
        receiver: webhook.entry.origin(),
        events: webhook.entry.events.clone(),
        state,
        position,
        backlog: backlog.map(|backlog| backlog.events),
        oldest: backlog.and_then(|backlog| backlog.oldest),
        delivered: standing.delivered,
        failing: standing.failing,
        given_up: standing.given_up,
    }
}
