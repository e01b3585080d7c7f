//! The OpenAPI document: valid, complete, true to the router, and its examples work. What its shapes promise is
//! held against every answer of every story, in `harness/described.rs`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use nemo::openapi::{Method as M, Power, Route, curl};
use nemo::routes::{PUBLIC, all};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{Answer, DOCUMENT, Key, Nemo, Setup};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Every operation: path, method and what is told of it.
fn operations() -> Vec<(&'static str, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let of = |(path, item): (&'static String, &'static Value)| {
        let each = move |method: &'static str| Some((path.as_str(), method, item.get(method)?));
        METHODS.into_iter().filter_map(each).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

/// A path with something in the place of its parameters.
fn filled(path: &str) -> String {
    path.replace("{id}", "key_0123456789A")
}

async fn ask(nemo: &Nemo, method: &str, path: &str) -> Answer {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    Answer::of(nemo.http().request(method, nemo.url(&filled(path)))).await
}

/// Every value under a name, wherever it stands.
fn everywhere<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(name));
            members.values().for_each(|member| everywhere(member, name, found));
        }
        Value::Array(items) => items.iter().for_each(|item| everywhere(item, name, found)),
        _ => {}
    }
}

#[test]
fn the_document_is_valid() {
    let mut validator = crate::sdk::python();
    validator.args(["-m", "openapi_spec_validator", "--schema", "3.1", "-"]);
    let mut validator = validator.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    validator.stdin.take().unwrap().write_all(DOCUMENT.to_string().as_bytes()).unwrap();
    let said = validator.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    let mut references = Vec::new();
    everywhere(&DOCUMENT, "$ref", &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let path = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(DOCUMENT.pointer(path).is_some(), "{path} leads nowhere");
    }
}

#[test]
fn every_schema_is_one() {
    let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
    compiler.add_resource("http://nemo.test/openapi.json", DOCUMENT.clone()).unwrap();
    for name in DOCUMENT["components"]["schemas"].as_object().unwrap().keys() {
        let place = format!("http://nemo.test/openapi.json#/components/schemas/{name}");
        compiler.compile(&place, &mut schemas).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
}

#[test]
fn everything_is_described() {
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations() {
        let said = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id) && id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{said}: {id}");
        for text in ["summary", "description"] {
            assert!(operation[text].as_str().is_some_and(|text| text.len() > 5), "{said} has no {text}");
        }
        let names = operation["tags"].as_array().unwrap();
        assert!(DOCUMENT["tags"].as_array().unwrap().iter().any(|tag| tag["name"] == names[0]), "{said}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(
                parameter["description"].as_str().is_some_and(|text| text.len() > 5),
                "{said}: {parameter}"
            );
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{said} has no good end");
        assert!(responses.contains_key("500"), "{said}");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| text.len() > 3), "{said} {status}");
        }
        if let Some(body) = operation.get("requestBody") {
            assert!(body["content"]["application/json"]["example"].is_object(), "{said} has no example");
        }
    }
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        for (member, about) in schema["properties"].as_object().into_iter().flatten() {
            let inner = about["oneOf"].as_array().into_iter().flatten();
            let texts = std::iter::once(about).chain(inner).filter_map(|about| about["description"].as_str());
            assert!(texts.map(str::len).max() > Some(2), "{name}.{member} is not described: {about}");
        }
    }
    assert!(!DOCUMENT.to_string().contains("[`"), "a link for rustdoc stands in the document");
}

#[test]
fn every_code_of_a_refusal_is_among_the_answers_of_some_route() {
    let responses =
        operations().into_iter().flat_map(|(_, _, told)| told["responses"].as_object().unwrap().values());
    let told: String = responses.filter_map(|response| response["description"].as_str()).collect();
    // What no route in particular answers, and what a provider chooses.
    let elsewhere = ["not_found", "method_not_allowed", "provider_error"];
    // What only pages answer.
    let of_pages = [
        "login_failed",
        "link_spent",
        "operator_name_taken",
        "too_many_logins",
        "master_key_in_browser",
        "virtual_key_in_login",
        "passwords_unusable",
    ];
    let missing: Vec<&str> = nemo::openapi::errors::CODES
        .iter()
        .map(|code| code.code)
        .filter(|code| {
            !told.contains(&format!("`{code}`")) && !elsewhere.contains(code) && !of_pages.contains(code)
        })
        .collect();
    // Answers of commands that no route gives: ids are made here, and calls are not ended by managers yet.
    let not_yet =
        ["key_exists", "org_exists", "call_not_found", "call_not_overdue", "correction_out_of_range"];
    assert!(missing.iter().all(|code| not_yet.contains(code)), "{missing:?}");
}

#[tokio::test]
async fn the_document_and_the_router_agree() {
    let nemo = Nemo::start().await;
    let served = Answer::of(nemo.http().get(nemo.url("/openapi.json"))).await;
    assert_eq!(served.ok(), *DOCUMENT);
    assert!(operations().len() > 25);
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for method in METHODS {
            let answer = ask(&nemo, method, path).await;
            let is_there = !(answer.status == 405 || answer.status == 404 && answer.code() == "not_found");
            assert_eq!(is_there, item.get(method).is_some(), "{method} {path} {}", answer.status);
        }
    }
    for path in ["/openapi.yaml", "/openapi.json/", "/openapi", "/api/openapi.json", "/v1/openapi.json"] {
        ask(&nemo, "get", path).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_path_that_does_not_take_a_method_names_those_that_it_takes() {
    let nemo = Nemo::start().await;
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        let taken: BTreeSet<_> = METHODS.into_iter().filter(|method| item.get(method).is_some()).collect();
        for method in METHODS.into_iter().chain(["options", "trace"]).filter(|it| !taken.contains(it)) {
            let answer = ask(&nemo, method, path).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let allowed = answer.header("allow").unwrap_or_else(|| panic!("{method} {path} names none"));
            let allowed = allowed.to_lowercase();
            assert_eq!(allowed.split(", ").collect::<BTreeSet<_>>(), taken, "{method} {path}");
            assert_eq!(allowed.split(", ").count(), taken.len(), "{method} {path}: each once");
        }
    }
    let nowhere = ask(&nemo, "delete", "/nowhere").await;
    assert_eq!((nowhere.status, nowhere.header("allow")), (404, None));
}

#[tokio::test]
async fn a_route_answers_without_a_key_exactly_if_it_is_public() {
    let nemo = Nemo::start().await;
    for (path, method, operation) in operations() {
        let answer = ask(&nemo, method, path).await;
        let is_public = PUBLIC.contains(&path);
        assert_eq!(answer.status < 300, is_public, "{method} {path}");
        assert_eq!(operation["security"] == json!([]), is_public, "{method} {path}");
        if !is_public {
            answer.refused(401, "missing_api_key");
        }
    }
    let routes: Vec<&str> = all().iter().flat_map(|group| &group.routes).map(|route| route.path).collect();
    assert!(PUBLIC.iter().all(|path| routes.contains(path)), "a public route that is not there");
}

#[tokio::test]
async fn the_document_is_where_managers_are_and_not_where_applications_are() {
    let split = crate::harness::Setup::default().server("management_listen = \"127.0.0.1:0\"").start().await;
    let path = "/openapi.json";
    let at = |address| format!("http://{address}{path}");
    Answer::of(split.http().get(at(split.management_address()))).await.ok();
    Answer::of(split.http().get(at(split.address()))).await.refused(404, "not_found");
}

/// Runs the example of a route as it stands, in a shell whose variables name these things.
async fn run(nemo: &Nemo, key: &Key, org: &str, call: &str, operator: &str, route: &Route) -> Output {
    let told = "curl() { command curl --silent --show-error --write-out '\\n%{http_code}' \"$@\"; }\n";
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{told}{}", curl(route))).current_dir(nemo.home());
    shell.env("NEMO", nemo.url("")).env("ORG", org).env("KEY", key.id()).env("NEMO_API_KEY", key.secret());
    shell.env("MASTER_KEY_ID", &nemo.master_key()["mk-nemo-1".len()..][..11]);
    shell.env("CALL", call).env("OPERATOR", operator).env("WEBHOOK", "ops");
    shell.env("MODEL", "gpt-test").env_remove("http_proxy");
    tokio::task::spawn_blocking(move || shell.output().expect("a shell and curl")).await.unwrap()
}

#[tokio::test]
async fn every_example_works_as_it_stands() {
    // Nobody is there, and that is told.
    let webhook = "[[webhooks]]\nname = \"ops\"\nurl = \"http://127.0.0.1:9/\"\nsecret_env = \"HOOK_SECRET\"";
    let secret = format!("whsec_{}=", "A".repeat(43));
    let nemo = Setup::default().more(webhook).env("HOOK_SECRET", &secret).start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let header = format!("Authorization: Bearer {}\n", nemo.master_key());
    std::fs::write(nemo.home().join("manager"), header).unwrap();
    let mut operator = String::new();
    for (n, route) in all().iter().flat_map(|group| &group.routes).enumerate() {
        if route.path.starts_with("/api/operators/") {
            nemo.person(&format!("person {n}"), "auditor").await;
            operator = nemo.operator_id(&format!("person {n}")).await;
        }
        assert!(!curl(route).contains("k-nemo-"), "{}", curl(route));
        let org = nemo.new_org("example").await;
        let key = nemo.key_in(&org, json!({"budgets": [{"window": "total", "limit": "1"}]})).await;
        key.rotate(json!({"overlap_secs": 60})).await;
        let call = key.chat(json!({})).await.header("x-nemo-call-id").unwrap().to_owned();
        key.ended_calls().await;
        let output = run(&nemo, &key, &org, &call, &operator, route).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        let said = format!("{}\n{text}\n{}", curl(route), String::from_utf8_lossy(&output.stderr));
        let creates = ["/api/orgs", "/api/keys", "/api/operators/links", "/api/operators/{id}/link"];
        let expected = if route.method == M::Post && creates.contains(&route.path) { 201 } else { 200 };
        assert_eq!(status, expected.to_string(), "{said}");
        assert!(serde_json::from_str::<Value>(body).is_ok() || route.power() == Power::Nobody, "{said}");
    }
}
