//! Holds everything that a test asks and gets against the OpenAPI document. So each story shows as well that
//! its routes, statuses, codes and shapes are described, and that nothing is answered which is not.
//!
//! Stricter than the document itself, which leaves room for what later versions may add: members that are not
//! described are faults here.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use boon::{Compiler, Schemas};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

/// The document.
pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&nemo::openapi::DOCUMENT.to_json().unwrap()).unwrap());

static CLOSED: LazyLock<Value> = LazyLock::new(strict);

thread_local! {
    /// Compiles the schemas of the document and keeps them.
    static SHAPES: RefCell<(Compiler, Schemas)> = {
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(AS_IT_IS, DOCUMENT.clone()).unwrap();
        compiler.add_resource(STRICT, CLOSED.clone()).unwrap();
        RefCell::new((compiler, Schemas::new()))
    };
}

/// The document.
const AS_IT_IS: &str = "http://nemo.test/openapi.json";
/// The document with every object closed.
const STRICT: &str = "http://nemo.test/strict.json";

/// What was asked.
#[derive(Debug)]
pub(super) struct Asked {
    method: String,
    path: String,
    query: BTreeSet<String>,
    body: Option<Value>,
}

impl Asked {
    pub(super) fn of(request: &reqwest::Request) -> Asked {
        let url = request.url();
        let body = request.body().and_then(reqwest::Body::as_bytes);
        Asked {
            method: request.method().as_str().to_lowercase(),
            path: url.path().to_owned(),
            query: url.query_pairs().map(|(name, _)| name.into_owned()).collect(),
            body: body.and_then(|body| serde_json::from_slice(body).ok()),
        }
    }

    /// Fails unless this is an answer that the document allows. `body` is that of an answer in one piece.
    #[track_caller]
    pub(super) fn answered(&self, status: u16, headers: &HeaderMap, body: Option<&[u8]>) {
        let said =
            || format!("{} {} -> {status} {:?}", self.method, self.path, body.map(String::from_utf8_lossy));
        assert!(headers.contains_key("x-request-id"), "an answer without an id: {}", said());
        if body.is_some_and(|body| status == 404 && self.is_nowhere(body)) {
            return;
        }
        let Some((template, item)) = described_path(&self.path) else {
            assert_eq!(status, 404, "a path that is not described: {}", said());
            return;
        };
        let Some(operation) = item.get(&self.method) else {
            assert_eq!(status, 405, "a method that is not described: {}", said());
            return;
        };
        let responses = &operation["responses"];
        let name = status.to_string();
        let response = responses.get(&name).or(responses.get("default"));
        let response = response.unwrap_or_else(|| panic!("a status that is not described: {}", said()));
        if status < 300 {
            self.was_allowed(template, operation, &said);
        }
        let media = headers.get("content-type").and_then(|value| value.to_str().ok());
        let media = media.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
        let is_described = response["content"].get(media).is_some();
        assert!(is_described, "a kind of content that is not described, `{media}`: {}", said());
        if let Some(body) = body.filter(|_| media.ends_with("json")) {
            let body: Value = serde_json::from_slice(body).unwrap();
            let name = if responses.get(&name).is_some() { name.as_str() } else { "default" };
            let place = ["paths", template, &self.method, "responses", name, "content", media, "schema"];
            fits(STRICT, &place, &body).unwrap_or_else(|fault| panic!("{fault} in {}", said()));
        }
    }

    /// A listener need not have every path that is described; `openapi.rs` asks for each where it should be.
    fn is_nowhere(&self, body: &[u8]) -> bool {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        [&body["code"], &body["error"]["code"]].into_iter().any(|code| code == "not_found")
    }

    /// What was accepted must be something that the document allows.
    fn was_allowed(&self, template: &str, operation: &Value, said: &dyn Fn() -> String) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let named: BTreeSet<&str> = parameters.filter_map(|parameter| parameter["name"].as_str()).collect();
        let unknown = self.query.iter().find(|name| !named.contains(name.as_str()));
        // Under `/v1` what nobody knows is passed over in a query string, as OpenAI does.
        let unknown = unknown.filter(|_| self.path.starts_with("/api/"));
        assert!(unknown.is_none(), "a parameter that is not described, {unknown:?}: {}", said());
        if let Some(body) = self.body.as_ref().filter(|_| operation.get("requestBody").is_some()) {
            let content = ["requestBody", "content", "application/json", "schema"];
            let place = [&["paths", template, &self.method][..], &content[..]].concat();
            fits(AS_IT_IS, &place, body).unwrap_or_else(|fault| panic!("{fault} in {}", said()));
        }
    }
}

/// The path's entry in the document, under its template.
pub(crate) fn described_path(path: &str) -> Option<(&'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let literal = paths.get_key_value(path);
    let found = literal.or_else(|| paths.iter().find(|(template, _)| matches(template, path)));
    found.map(|(template, item)| (template.as_str(), item))
}

/// A parameter stands for one segment; that of a model's name for the rest.
fn matches(template: &str, path: &str) -> bool {
    if let Some(before) = template.strip_suffix("{id}").filter(|_| template.starts_with("/v1/models/")) {
        return path.strip_prefix(before).is_some_and(|name| !name.is_empty());
    }
    let (expected, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let same = |(expected, given): (&&str, &&str)| {
        if expected.starts_with('{') { !given.is_empty() } else { expected == given }
    };
    expected.len() == given.len() && expected.iter().zip(&given).all(same)
}

/// Holds a value against the schema at a place of the document.
pub(crate) fn fits(document: &str, place: &[&str], value: &Value) -> Result<(), String> {
    let token =
        |token: &&str| token.replace('~', "~0").replace('/', "~1").replace('{', "%7B").replace('}', "%7D");
    let pointer: Vec<String> = place.iter().map(token).collect();
    SHAPES.with_borrow_mut(|(compiler, schemas)| {
        let index = compiler.compile(&format!("{document}#/{}", pointer.join("/")), schemas);
        let index = index.map_err(|error| format!("{place:?} is no schema: {error}"))?;
        schemas.validate(value, index).map_err(|fault| format!("not as described: {fault:#}"))
    })
}

/// The document with every object closed, but for those that are parts of others (which are closed where they
/// are put together) and those that a provider fills.
fn strict() -> Value {
    let mut document = DOCUMENT.clone();
    let schemas = document["components"]["schemas"].as_object().unwrap().clone();
    let mut open: BTreeSet<String> = ["ChatCompletion", "ChatChoice"].map(str::to_owned).into();
    for item in DOCUMENT["paths"].as_object().unwrap().values() {
        collect_narrowed(item, &schemas, &mut open);
    }
    for schema in schemas.values().filter(|schema| schema.get("allOf").is_some()) {
        collect_parts(schema, &schemas, &mut open);
    }
    for (name, schema) in document["components"]["schemas"].as_object_mut().unwrap() {
        if !open.contains(name) {
            close(schema);
        }
    }
    for operation in document["paths"].as_object_mut().unwrap().values_mut().flat_map(members) {
        for content in operation["responses"].as_object_mut().unwrap().values_mut() {
            content["content"]
                .as_object_mut()
                .unwrap()
                .values_mut()
                .for_each(|content| close(&mut content["schema"]));
        }
    }
    document
}

fn members(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().unwrap().values_mut()
}

fn close(schema: &mut Value) {
    let is_object = schema.get("properties").is_some() || schema.get("allOf").is_some();
    if is_object && schema.get("additionalProperties").is_none() {
        schema.as_object_mut().unwrap().insert("unevaluatedProperties".to_owned(), json!(false));
    }
}

/// The parts of what is put together within the answers of a path.
fn collect_narrowed(value: &Value, schemas: &Map<String, Value>, parts: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) if members.contains_key("allOf") => collect_parts(value, schemas, parts),
        Value::Object(members) => {
            members.values().for_each(|member| collect_narrowed(member, schemas, parts))
        }
        _ => {}
    }
}

/// The names of the schemas that a schema is put together from.
fn collect_parts(schema: &Value, schemas: &Map<String, Value>, parts: &mut BTreeSet<String>) {
    for item in ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|of| schema[of].as_array()).flatten() {
        if let Some(name) = item["$ref"].as_str().and_then(|path| path.rsplit('/').next())
            && parts.insert(name.to_owned())
        {
            collect_parts(&schemas[name], schemas, parts);
        }
        collect_parts(item, schemas, parts);
    }
}
