//! Whole command lines: how they are parsed, and what they ask of a server and print.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at its first surprise")]

mod changes;
mod issue;
mod parsing;
mod reads;

use serde_json::{Value, json};

use super::exit::CommandError;
use super::testing::{Captured, FakeServer};
use super::{Cli, Command, RemoteCommand, calls, keys, orgs, prices, spend};

const KEY: &str = "key_0123456789A";
const ORG: &str = "0197b5a0-0000-7000-8000-000000000001";
const CALL: &str = "0197b5a0-0000-7000-8000-000000000002";
const SECRET: &str = "sk-nemo-10123456789A0000000000000000000000000000000000003of8hU";

/// What a command line led to.
struct Ran {
    result: Result<(), CommandError>,
    data: String,
    words: String,
}

/// Runs a command line off a terminal.
async fn run(server: &FakeServer, line: &[&str]) -> Ran {
    answered(server, line, None).await
}

/// Runs a command line, on a terminal if somebody answers.
async fn answered(server: &FakeServer, line: &[&str], answer: Option<&'static str>) -> Ran {
    use clap::Parser;
    let captured = Captured::default();
    let parsed = Cli::try_parse_from(["nemo"].iter().chain(line)).unwrap();
    let result = match parsed.command {
        Command::Remote(RemoteCommand::Keys(args)) => {
            keys::run(args.command, &mut captured.session(server, args.remote.output, answer)).await
        }
        Command::Remote(RemoteCommand::Orgs(args)) => {
            orgs::run(args.command, &mut captured.session(server, args.remote.output, answer)).await
        }
        Command::Remote(RemoteCommand::Calls(args)) => {
            calls::run(args.command, &mut captured.session(server, args.remote.output, answer)).await
        }
        Command::Remote(RemoteCommand::Spend(args)) => {
            spend::run(args.question, &mut captured.session(server, args.remote.output, answer)).await
        }
        Command::Remote(RemoteCommand::Prices(args)) => {
            prices::run(args.command, &mut captured.session(server, args.remote.output, answer)).await
        }
        other => unreachable!("{other:?} does not speak HTTP"),
    };
    Ran { result, data: captured.data(), words: captured.words() }
}

fn labels() -> Value {
    json!({ "name": "nightly", "app": "etl", "env": "prod", "tags": ["=1+1", "b"] })
}

fn limits() -> Value {
    json!({ "budgets": [{ "window": "day", "limit": "5", "alert_at_percent": 80 }], "requests_per_minute": 60 })
}

/// A key as `GET /api/keys/{id}` tells it.
fn key() -> Value {
    let used = |calls: u64, spend: &str| json!({ "calls": calls, "spend": spend });
    json!({
        "id": KEY, "org": ORG, "status": "active", "created_at": "2026-11-01T08:00:00.000000Z", "labels": labels(),
        "labels_revision": 0, "limits": limits(),
        "secrets": [
            { "version": 1, "last_four": "9zzz", "pepper": "p", "valid_until": "2026-11-22T11:00:00.000000Z" },
            { "version": 2, "last_four": "a1b2", "pepper": "p", "valid_until": null },
        ],
        "budgets": [{
            "window": "day", "limit": "5", "settled": "1.25", "held": "0.5", "free": "3.25",
            "resets_at": "2026-11-23T00:00:00.000000Z",
        }],
        "windows": [{
            "window": "total", "starts_at": "2026-11-01T08:00:00.000000Z", "resets_at": null,
            "settled": "1234.5678", "held": "0.5", "open_calls": 1,
        }],
        "rates": { "requests_per_minute": { "limit": 60, "remaining": 58 }, "concurrent_calls": null },
        "open_calls": { "count": 201, "calls": [{
            "id": CALL, "hold": "0.5", "provider": "openai", "provider_model": "gpt-5",
            "authorized_at": "2026-11-22T10:00:00.000000Z", "deadline": "2026-11-22T10:10:00.000000Z",
        }] },
        "flagged_models": [{ "provider": "openai", "provider_model": "o9" }],
        "attribution": {
            "total": used(1_200, "1234.5678"), "day": used(1, "1.25"), "month": used(1, "1.25"),
            "last_used_at": "2026-11-22T10:00:00.000000Z",
            "models": [{
                "provider": "openai", "model": "gpt-5", "first_revision": 1,
                "first_seen": "2026-11-01T09:00:00.000000Z", "used": used(1_199, "1234.5"),
            }],
            "other_models": used(1, "0.0678"), "refusals": [{ "code": "budget_exceeded", "count": 3 }],
            "other_refusals": 0, "voided": 0, "estimated": 0, "unconfirmed": 0, "from_the_future": true,
        },
        "from_the_future": { "a": 1 },
    })
}

/// A key as `GET /api/keys` tells it.
fn key_row(id: &str, name: &str) -> Value {
    json!({
        "id": id, "org": ORG, "status": "blocked", "labels": { "name": name, "tags": [] },
        "limits": { "unlimited": true, "expires_at": "2027-01-31T00:00:00.000000Z" }, "last_four": "a1b2",
        "created_at": "2026-11-01T08:00:00.000000Z", "changed_at": "2026-11-01T08:00:00.000000Z",
        "last_used_at": null, "calls": 0, "spend": "0", "open_calls": 0, "held": "0", "revision": 0,
    })
}

fn key_reply() -> Value {
    json!({ "key": key(), "revision": 9, "position": 77 })
}

fn org(name: &str) -> Value {
    json!({
        "id": ORG, "name": name, "status": "active", "created_at": "2026-11-01T08:00:00.000000Z", "limits": {},
    })
}
