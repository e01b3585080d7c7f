//! What a role does not include is refused by the API, whatever pages show.

use nemo::auth::role::{Right, Role};
use nemo::dashboard::routes::{Who, all};
use nemo::openapi::{Method as M, Power};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Nemo, Person};

fn filled(path: &str) -> String {
    let id =
        if path.contains("/operators/") { "019a8f3e-9d2c-7c31-8d0e-5b1f6a2c4e71" } else { "key_0123456789A" };
    path.replace("{id}", id)
}

#[test]
fn every_management_route_says_which_right_it_needs() {
    for route in nemo::routes::all().iter().flat_map(|group| &group.routes) {
        let is_managed = route.power() == Power::MasterKey;
        assert_eq!(route.needs.right.is_some(), is_managed, "{} {}", route.method.as_str(), route.path);
        if let Some(right) = route.needs.right.filter(|_| route.method != M::Get) {
            assert!(
                !Role::Finance.may(right) && !Role::Auditor.may(right),
                "{} changes something",
                route.path
            );
        }
    }
}

/// The last right is checked before anything of the request is looked at, so nobody is hurt by trying them all.
#[tokio::test]
async fn every_route_is_closed_to_every_role_that_does_not_include_it() {
    let nemo = Nemo::start().await;
    let _ada = nemo.ada().await;
    let mut tried = 0;
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Admin) {
        let person = nemo.person(role.as_str(), role.as_str()).await;
        for route in nemo::routes::all().iter().flat_map(|group| &group.routes) {
            let Some(right) = route.needs.right else { continue };
            let method: Method = route.method.as_str().parse().unwrap();
            let answer = person.manage(method, &filled(route.path), body(route.method)).await;
            let said = format!("{role} {} {}: {}", route.method.as_str(), route.path, answer.text());
            assert_eq!(
                answer.status == 403 && answer.code() == "role_not_allowed",
                !role.may(right),
                "{said}"
            );
            tried += 1;
        }
        pages(&nemo, role, &person).await;
    }
    assert!(tried > 60, "{tried}");
}

fn body(method: M) -> Value {
    if method == M::Get { Value::Null } else { json!({}) }
}

async fn pages(nemo: &Nemo, role: Role, person: &Person) {
    for route in all() {
        let Who::Person(right) = route.who else { continue };
        let path = filled(route.path);
        let closed = right.is_some_and(|right: Right| !role.may(right));
        // What everybody who is signed in may do would end the session.
        if !closed && route.method == M::Post {
            continue;
        }
        let answer = match route.method {
            M::Post => person.send(&path, &[]).await,
            _ => person.page(&path).await,
        };
        assert_eq!(answer.status == 403, closed, "{role} {path}: {}", answer.status);
    }
    assert!(nemo.address_if_running().is_some());
}

#[tokio::test]
async fn an_admin_does_in_the_api_what_the_master_key_does() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    for route in nemo::routes::all().iter().flat_map(|group| &group.routes) {
        if route.power() != Power::MasterKey || route.method != M::Get || route.path.contains("{id}") {
            continue;
        }
        let path = if route.path == "/api/spend" { "/api/spend?by=key" } else { route.path };
        let answer = ada.manage(Method::GET, path, Value::Null).await;
        // One that must be told what to look for says so; it lets her in.
        assert!(answer.status < 300 || answer.code() == "invalid_request", "{path}: {}", answer.text());
    }
}
