//! The example of a route: a call of curl that works as it stands, once the variables are set. A test runs
//! all of them.

use serde_json::Value;

use super::route::{Method, Power, Route};

/// What variables of the examples stand for where no shell fills them in.
const STAND_FOR: &[(&str, &str)] = &[
    ("$ORG", "019a8f3e-9d2c-7c31-8d0e-5b1f6a2c4e70"),
    ("$KEY", "key_0123456789A"),
    ("$OPERATOR", "019a8f3e-9d2c-7c31-8d0e-5b1f6a2c4e71"),
    ("$CALL", "019a8f3f-0c55-7a42-9f3b-2d7c1e8a6b04"),
    ("$MASTER_KEY_ID", "0123456789A"),
    ("$WEBHOOK", "ops"),
    ("$MODEL", "gpt-4o-mini"),
];

/// The call. `$NEMO` is the server's address, `manager` a file with the master key's header, `$NEMO_API_KEY` a
/// virtual key; `$ORG`, `$KEY`, `$OPERATOR`, `$CALL`, `$MASTER_KEY_ID`,
/// `$WEBHOOK` and `$MODEL` name what the call is about. No key stands in it.
#[must_use]
pub fn curl(route: &Route) -> String {
    let mut call = String::from("curl");
    let has_body = route.body.is_some();
    match (route.method, has_body) {
        (Method::Get, false) | (Method::Post, true) => {}
        (method, _) => call.push_str(&format!(" -X {}", method.as_str())),
    }
    match route.power() {
        Power::MasterKey => call.push_str(" -H @manager"),
        Power::VirtualKey => call.push_str(" -H \"Authorization: Bearer $NEMO_API_KEY\""),
        Power::Nobody => {}
    }
    call.push_str(&format!(" \"$NEMO{}{}\"", filled_path(route), query(route)));
    if let Some(body) = &route.body {
        call.push_str(&format!(" \\\n  --json '{}'", in_quotes(body.example)));
    }
    call
}

/// The body's example without variables.
pub(super) fn body(route: &Route) -> Option<Value> {
    let text = route.body.as_ref()?.example.to_owned();
    let text = STAND_FOR.iter().fold(text, |text, (variable, value)| text.replace(variable, value));
    serde_json::from_str(&text).ok()
}

fn query(route: &Route) -> String {
    match &route.query {
        Some(query) if !query.example.is_empty() => format!("?{}", query.example),
        _ => String::new(),
    }
}

fn filled_path(route: &Route) -> String {
    let path = route.shown_path();
    let id = if path.starts_with("/api/orgs/") {
        "$ORG"
    } else if path.starts_with("/api/keys/") {
        "$KEY"
    } else if path.starts_with("/api/operators/") {
        "$OPERATOR"
    } else if path.starts_with("/api/calls/") {
        "$CALL"
    } else if path.starts_with("/api/master-keys/") {
        "$MASTER_KEY_ID"
    } else if path.starts_with("/api/webhooks/") {
        "$WEBHOOK"
    } else {
        "$MODEL"
    };
    path.replace("{id}", id)
}

/// A text inside single quotes, out of which its variables are taken.
fn in_quotes(text: &str) -> String {
    STAND_FOR
        .iter()
        .fold(text.to_owned(), |text, (variable, _)| text.replace(variable, &format!("'\"{variable}\"'")))
}
