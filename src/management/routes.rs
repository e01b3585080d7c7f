//! Every management route, with what is told of it.

use super::calls::{self, CallAnswer, CorrectedAnswer, CorrectionAsked};
use super::events::{self, LedgerEvents, LedgerPage};
use super::history::{self, CallPage, CallQuery, EventPage, EventQuery};
use super::input::{AsOf, Nothing, Why};
use super::key_secrets::{self, NewKey, Rotation, WithSecret};
use super::keys::{self, FlaggedModel, KeyAnswer, KeyPage, KeyQuery, Revoked, SecretVersion};
use super::master_key_events::{self, DeedQuery, Deeds};
use super::operators::{
    self, Invitation, NewRole, OperatorAnswer, OperatorLink, OperatorPage, OperatorQuery, SignedOut,
};
use super::org_removal::{self, OrgRemoved};
use super::orgs::{self, NewOrg, OrgAnswer, OrgBudgets, OrgPage, OrgQuery, Rename};
use super::overview::{self, Overview, OverviewAsked};
use super::prices::{self, PriceHistory, PriceHistoryQuery, PricePage, PriceQuery};
use super::replay::{self, KeyState, MomentQuery};
use super::secrets::{self, SecretList, SecretQuery};
use super::spend::{self, SpendAnswer, SpendAsked};
use super::webhooks::{self, WebhookList};
use super::{reload, status};
use crate::auth::role::Right;
use crate::openapi::{Group, Reply, Route, delete, get, patch, post, put};
use crate::reload::Reloaded;
use crate::webhooks::Tested;

use nemo_events::key::Labels;
use nemo_events::limits::KeyLimits;
use nemo_events::org::OrgLimits;

/// All of them.
pub fn routes() -> Vec<Group> {
    vec![
        Group {
            name: "Orgs",
            about: "An org owns keys. What a key may do is the key's own; an org gives new keys their limits, \
                    bounds what they may be given, and can be suspended as a whole.",
            routes: orgs(),
        },
        Group {
            name: "Keys",
            about: "A virtual key: one for each job. It is capped, attributed and revocable, and its whole life \
                    is one stream of events.",
            routes: [keys(), changes_of_keys(), history()].into_iter().flatten().collect(),
        },
        Group {
            name: "Spend and prices",
            about: "What was spent, what one call was charged and why, and what models cost.",
            routes: money(),
        },
        Group {
            name: "Operators",
            about: "People who sign in to the dashboard. Each chooses a name and a password by a link that works \
                    once; a role says what they may do.",
            routes: operators(),
        },
        Group {
            name: "Operations",
            about: "Where the ledger and what follows it stand, and the configuration.",
            routes: operations(),
        },
    ]
}

fn orgs() -> Vec<Route> {
    let org = || Reply::ok::<OrgAnswer>("The org as it is now.");
    vec![
        post("/api/orgs", orgs::create)
            .described(
                "Create org",
                "Creates an org. `key_defaults` is what a new key gets that states no limits; `key_bounds` is what \
                 no key's limits may exceed, from the next change of each on.",
                Reply::created::<OrgAnswer>("The new org."),
            )
            .needs(Right::ManageOrgs)
            .body::<NewOrg>(r#"{"name": "acme"}"#)
            .refuses(&["limits_outside_bounds"]),
        get("/api/orgs", orgs::list)
            .described("List orgs", "Orgs, newest first.", Reply::ok::<OrgPage>("A page of orgs."))
            .needs(Right::ReadOrgs)
            .query::<OrgQuery>("status=active&limit=10")
            .refuses(&["read_model_unavailable"]),
        get("/api/orgs/{id}", orgs::show)
            .described("Show org", "One org, from its own account: never behind.", org())
            .needs(Right::ReadOrgs)
            .query::<AsOf>(""),
        patch("/api/orgs/{id}", orgs::rename)
            .described("Rename org", "Gives an org another name.", org())
            .needs(Right::ManageOrgs)
            .body::<Rename>(r#"{"name": "acme-research"}"#)
            .refuses(&["org_archived"]),
        put("/api/orgs/{id}/limits", orgs::set_limits)
            .described(
                "Set org limits",
                "Replaces the limits for an org's keys, all of them. Keys that exist keep theirs until they change; \
                 the answer tells those that are wider than `key_bounds`.",
                org(),
            )
            .needs(Right::ManageOrgs)
            .body::<OrgLimits>(
                r#"{"key_defaults": {"budgets": [{"window": "month", "limit": "25"}]}, "key_bounds": {"budgets": [{"window": "month", "limit": "100"}]}}"#,
            )
            .refuses(&["org_archived", "limits_outside_bounds"]),
        put("/api/orgs/{id}/budgets", orgs::set_budgets)
            .described(
                "Set org budgets",
                "Replaces the org's own budgets, all of them. All its keys share them, beside whatever budgets they have \
                 themselves. What was spent in a window before counts. Where less is free than keys hold, nothing more is \
                 admitted until it is.",
                org(),
            )
            .needs(Right::ManageOrgs)
            .body::<OrgBudgets>(r#"{"budgets": [{"window": "month", "limit": "1000"}]}"#)
            .refuses(&["org_archived"]),
        post("/api/orgs/{id}/suspend", orgs::suspend)
            .described("Suspend org", "Refuses calls with all keys of an org until it is resumed.", org())
            .needs(Right::ManageOrgs)
            .body::<Why>(r#"{"reason": "invoice overdue"}"#)
            .refuses(&["org_archived"]),
        post("/api/orgs/{id}/resume", orgs::resume)
            .described("Resume org", "Ends a suspension.", org())
            .needs(Right::ManageOrgs)
            .body::<Nothing>("{}")
            .refuses(&["org_archived"]),
        delete("/api/orgs/{id}", org_removal::remove)
            .described(
                "Archive org",
                "Archives an org and revokes all its keys, for good. History stays. Where it could not revoke all \
                 of them, send it again.",
                Reply::ok::<OrgRemoved>("The archived org, and how many keys were revoked."),
            )
            .needs(Right::ManageOrgs)
            .body::<Why>(r#"{"reason": "contract ended"}"#)
            .refuses(&["read_model_unavailable"]),
    ]
}

fn keys() -> Vec<Route> {
    vec![
        post("/api/keys", key_secrets::create)
            .described(
                "Create key",
                "Creates a virtual key. It needs a budget, or `unlimited` by name. The answer holds the full key: \
                 this is the only time that it is shown.",
                Reply::created::<WithSecret<'_>>("The new key, with its secret."),
            )
            .needs(Right::ManageKeys)
            .body::<NewKey>(
                r#"{"org": "$ORG", "name": "nightly-report", "limits": {"budgets": [{"window": "day", "limit": "2.50"}]}}"#,
            )
            .refuses(&["org_not_found", "org_archived", "limits_outside_bounds"]),
        get("/api/keys", keys::list)
            .described("List keys", "Keys, newest first.", Reply::ok::<KeyPage>("A page of keys."))
            .needs(Right::ReadKeys)
            .query::<KeyQuery>("org=$ORG&status=active&limit=10")
            .refuses(&["read_model_unavailable"]),
        get("/api/keys/{id}", keys::show)
            .described(
                "Show key",
                "One key, from its own account: never behind. What it spent, holds and has left; its open calls; \
                 who used it for what.",
                Reply::ok::<KeyAnswer>("The key as it is now."),
            )
            .needs(Right::ReadKeys)
            .query::<AsOf>(""),
        post("/api/keys/{id}/rotate", key_secrets::rotate)
            .described(
                "Rotate key",
                "Gives a key a new secret. Id, limits, budgets and history stay. Earlier secrets go on working for \
                 `overlap_secs`, or end at once if one has `leaked`.",
                Reply::ok::<WithSecret<'_>>("The key, with its new secret."),
            )
            .needs(Right::ManageKeys)
            .body::<Rotation>(r#"{"overlap_secs": 900}"#)
            .refuses(&["key_revoked", "too_many_secrets"]),
        post("/api/keys/{id}/retire-secret", keys::retire_secret)
            .described(
                "Retire secret",
                "Ends an earlier secret before its overlap does.",
                Reply::ok::<KeyAnswer>("The key as it is now."),
            )
            .needs(Right::ManageKeys)
            .body::<SecretVersion>(r#"{"version": 1}"#)
            .refuses(&["secret_not_found", "key_revoked"]),
    ]
}

fn changes_of_keys() -> Vec<Route> {
    let key = || Reply::ok::<KeyAnswer>("The key as it is now.");
    let revoked = || Reply::ok::<Revoked>("The revoked key, and how many calls were cut.");
    let about_revoking = "Revokes a key, for good: once this is answered no call is authorised with it on any \
                          node, and its running calls are cut.";
    vec![
        put("/api/keys/{id}/labels", keys::relabel)
            .described(
                "Set key labels",
                "Replaces what a key is for, all of it. Calls made before stay attributed to the labels of their time.",
                key(),
            )
            .needs(Right::ManageKeys)
            .body::<Labels>(r#"{"name": "nightly-report", "app": "mailer", "env": "prod"}"#)
            .refuses(&["key_revoked"]),
        put("/api/keys/{id}/limits", keys::set_limits)
            .described(
                "Set key limits",
                "Replaces what a key may do, all of it, within what its org allows (`key_bounds`). Binding at once; open \
                 calls keep their holds.",
                key(),
            )
            .needs(Right::ManageKeys)
            .body::<KeyLimits>(
                r#"{"budgets": [{"window": "day", "limit": "5"}], "models": ["gpt-*"], "requests_per_minute": 60}"#,
            )
            .refuses(&["key_revoked", "limits_outside_bounds"]),
        post("/api/keys/{id}/block", keys::block)
            .described("Block key", "Refuses calls with a key until it is unblocked.", key())
            .needs(Right::ManageKeys)
            .body::<Why>(r#"{"reason": "unusual traffic"}"#)
            .refuses(&["key_revoked"]),
        post("/api/keys/{id}/unblock", keys::unblock)
            .described("Unblock key", "Lets a blocked key work again.", key())
            .needs(Right::ManageKeys)
            .body::<Nothing>("{}")
            .refuses(&["key_revoked"]),
        post("/api/keys/{id}/clear-model", keys::clear_model)
            .described(
                "Clear model",
                "Lets a key call a model again that its provider billed above the hold.",
                key(),
            )
            .needs(Right::ManageKeys)
            .body::<FlaggedModel>(r#"{"provider": "openai", "provider_model": "gpt-4o-mini"}"#)
            .refuses(&["key_revoked"]),
        post("/api/keys/{id}/revoke", keys::revoke)
            .described("Revoke key", about_revoking, revoked())
            .needs(Right::ManageKeys)
            .body::<Why>(r#"{"reason": "job retired"}"#),
        delete("/api/keys/{id}", keys::revoke)
            .described("Delete key", "The same as revoking it: history stays.", revoked())
            .needs(Right::ManageKeys)
            .body::<Why>(r#"{"reason": "job retired"}"#),
    ]
}

fn history() -> Vec<Route> {
    vec![
        get("/api/keys/{id}/calls", history::calls)
            .described(
                "List calls",
                "A key's calls, open ones included, newest first.",
                Reply::ok::<CallPage>("A page of calls."),
            )
            .needs(Right::ReadKeys)
            .query::<CallQuery>("limit=10")
            .refuses(&["read_model_unavailable"]),
        get("/api/keys/{id}/events", history::events)
            .described(
                "List events",
                "All that happened to a key, from the ledger itself: `data` and `metadata` as they are stored, byte \
                 for byte, so that every hash can be recomputed. Filters look through a bounded stretch of the \
                 stream: a page may be empty though others follow.",
                Reply::ok::<EventPage<'_>>("Events in the order of their revisions, or backwards."),
            )
            .needs(Right::Replay)
            .query::<EventQuery>("from=0&limit=100"),
        get("/api/keys/{id}/state", replay::state)
            .described(
                "Show key at a moment",
                "A key as it was behind any of its events, folded from its stream: status, spend, limits, windows, \
                 rates; what the event changed; when each address, user agent and model was first seen; what came \
                 after it. As it is now where no moment is named.",
                Reply::ok::<KeyState>("The key as it was then."),
            )
            .needs(Right::Replay)
            .query::<MomentQuery>("revision=0")
            .refuses(&["moment_not_found"]),
    ]
}

fn money() -> Vec<Route> {
    vec![
        get("/api/spend", spend::spend)
            .described(
                "Show spend",
                "Adds up spend by group and time. Calls count where they were authorised: at that time, under the \
                 labels of that time. The total is the sum of the rows.",
                Reply::ok::<SpendAnswer>("Rows and their total."),
            )
            .needs(Right::ReadSpend)
            .query::<SpendAsked>("by=job&every=day&org=$ORG")
            .refuses(&["read_model_unavailable"]),
        get("/api/calls/{id}", calls::show)
            .described(
                "Show call",
                "One call, with its authorisation, its end and the last correction as they are stored.",
                Reply::ok::<CallAnswer<'_>>("The call and its events."),
            )
            .needs(Right::ReadSpend)
            .query::<AsOf>("")
            .refuses(&["call_not_found", "read_model_unavailable"]),
        post("/api/calls/{id}/correct", calls::correct)
            .described(
                "Correct call",
                "Lowers what an ended call is charged, on evidence; never raises it. The budget windows of the \
                 call's authorisation move with it.",
                Reply::ok::<CorrectedAnswer>("What it was charged, and is."),
            )
            .needs(Right::ManageKeys)
            .body::<CorrectionAsked>(r#"{"charged": "0", "reason": "not on the invoice of the provider"}"#)
            .refuses(&["call_not_found", "call_not_ended", "correction_out_of_range", "read_model_unavailable"]),
        get("/api/overview", overview::show)
            .described(
                "Show overview",
                "How the gateway is doing: this month, the last 30 days by job, refusals, the caps that come to \
                 their end, and what was changed last. What the dashboard's first page shows.",
                Reply::ok::<Overview>("The overview."),
            )
            .needs(Right::ReadSpend)
            .query::<OverviewAsked>("")
            .refuses(&["read_model_unavailable"]),
        get("/api/prices", prices::list)
            .described(
                "List prices",
                "What models cost now: the card by which a call that is authorised at this moment would be priced.",
                Reply::ok::<PricePage<'_>>("A page of prices, by provider and name."),
            )
            .needs(Right::ReadPrices)
            .query::<PriceQuery>("q=gpt&limit=10"),
        get("/api/prices/history", prices::history)
            .described(
                "Show price history",
                "What one model cost, costs and will cost by the prices that are configured, and the cards of it \
                 that were published for calls. Past calls keep their price.",
                Reply::ok::<PriceHistory>("The model's cards."),
            )
            .needs(Right::ReadPrices)
            .query::<PriceHistoryQuery>("model=$MODEL")
            .refuses(&["model_not_found", "read_model_unavailable"]),
    ]
}

fn operators() -> Vec<Route> {
    let operator = || Reply::ok::<OperatorAnswer>("The person as they are now.");
    let link = || Reply::json::<OperatorLink>(201, "The link. Its code is shown only now.");
    vec![
        get("/api/operators", operators::list)
            .described(
                "List operators",
                "People who may sign in, in the order in which they came, from their own account: never behind.",
                Reply::ok::<OperatorPage>("A page of people."),
            )
            .needs(Right::ManageOperators)
            .query::<OperatorQuery>("limit=10"),
        post("/api/operators/links", operators::invite)
            .described(
                "Invite operator",
                "Makes a link with which one person chooses a name and a password. It works once, for an hour, at \
                 the node that made it.",
                link(),
            )
            .needs(Right::ManageOperators)
            .body::<Invitation>(r#"{"role": "auditor"}"#),
        // Before `/api/operators/{id}`, which would take it for somebody's id.
        post("/api/operators/sign-out", operators::sign_everybody_out)
            .described(
                "Sign everybody out",
                "Ends every session on every node, and every link that waits to be used.",
                Reply::ok::<SignedOut>("It is done."),
            )
            .needs(Right::ManageOperators)
            .body::<Nothing>("{}"),
        post("/api/operators/{id}/link", operators::forgotten)
            .described(
                "Make password link",
                "Makes a link with which an operator who forgot their password chooses another one. It works once, \
                 for an hour, at the node that made it; one that was made before does not any more.",
                link(),
            )
            .needs(Right::ManageOperators)
            .body::<Nothing>("{}"),
        put("/api/operators/{id}/role", operators::grant)
            .described(
                "Set operator role",
                "Gives a person another role and ends their sessions. The last admin stays one.",
                operator(),
            )
            .needs(Right::ManageOperators)
            .body::<NewRole>(r#"{"role": "finance"}"#)
            .refuses(&["last_admin"]),
        post("/api/operators/{id}/sign-out", operators::sign_out)
            .described("Sign operator out", "Ends all sessions of a person, on every node.", operator())
            .needs(Right::ManageOperators)
            .body::<Nothing>("{}"),
        delete("/api/operators/{id}", operators::remove)
            .described(
                "Remove operator",
                "Ends a person's sessions and lets them in no more, for good. What they did stays attributed to them. \
                 The last admin cannot be removed.",
                operator(),
            )
            .needs(Right::ManageOperators)
            .body::<Why>(r#"{"reason": "left the company"}"#)
            .refuses(&["last_admin"]),
    ]
}

fn operations() -> Vec<Route> {
    vec![
        get("/api/ledger", status::ledger)
            .described(
                "Show ledger",
                "Where the ledger ends, how far the read model has got, and which node answers.",
                Reply::ok::<status::Status<'_>>("Where the ledger stands."),
            )
            .needs(Right::ReadLedger)
            .query::<AsOf>(""),
        get("/api/ledger/events", events::list)
            .described(
                "List ledger events",
                "All events of all streams in the ledger's order, byte for byte, so that every hash can be \
                 recomputed: what `nemo ledger backup` reads. Keep `position` to go on behind it later.",
                Reply::ok::<LedgerPage<'_>>("Events behind a position, oldest first."),
            )
            .needs(Right::ReadLedger).exports()
            .query::<LedgerEvents>("limit=10"),
        get("/api/secrets", secrets::list)
            .described(
                "List secrets",
                "Master keys and peppers by what may be told of them: which are in force here, since when, until \
                 when, and how many keys need which pepper. They are changed on disk (`nemo secrets`).",
                Reply::ok::<SecretList>("Master keys and peppers, oldest first."),
            )
            .needs(Right::ManageLedger)
            .query::<SecretQuery>("")
            .refuses(&["read_model_unavailable"]),
        get("/api/master-keys/{id}/events", master_key_events::list)
            .described(
                "List deeds of master key",
                "What was done with one master key, oldest first, from the ledger itself: for the day when it has \
                 leaked. A page may be empty though others follow.",
                Reply::ok::<Deeds>("Events that the master key caused in a stretch of the log."),
            )
            .needs(Right::ReadLedger).exports()
            .query::<DeedQuery>("since=2026-11-22T00:00:00Z")
            .refuses(&["master_key_not_found"]),
        get("/api/webhooks", webhooks::list)
            .described(
                "List webhooks",
                "Who is told of alerts and of what managers do, how far each has come, and what keeps it from going \
                 on. They are made in the configuration.",
                Reply::ok::<WebhookList>("All webhooks."),
            )
            .needs(Right::ManageLedger)
            .query::<AsOf>(""),
        post("/api/webhooks/{id}/test", webhooks::test)
            .described(
                "Test webhook",
                "Sends a signed message of type `webhook.test` to a webhook's receiver, once, whatever else waits, \
                 and tells what came of it. `id` is the webhook's name.",
                Reply::ok::<Tested>("What came of it."),
            )
            .needs(Right::ManageLedger)
            .body::<Nothing>("{}")
            .refuses(&["webhook_not_found"]),
        post("/api/reload", reload::run)
            .described(
                "Reload configuration",
                "Reads the configuration again: providers, their keys, prices and `[calls]` take effect for calls \
                 that begin afterwards, secrets of webhooks at once; running calls keep theirs, and past calls keep their price. What only \
                 takes effect at a restart is named in the answer. A configuration that cannot be used changes \
                 nothing.",
                Reply::ok::<Reloaded>("What changed."),
            )
            .needs(Right::ManageLedger)
            .body::<Nothing>("{}")
            .refuses(&["configuration_invalid"]),
    ]
}
