//! The page of all routes.

use maud::{Markup, html};
use serde_json::Value;
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::{OpenApi, RefOr, Required, Response};

use super::page::{self, markdown};
use super::shapes;
use crate::openapi::DOCUMENT;

/// How the variables of the examples are set.
const PREPARE: &str = "\
export NEMO=http://127.0.0.1:4141
(umask 077; printf 'Authorization: Bearer %s\\n' \"$(cat nemo-data/secrets/master-key)\" > manager)
export ORG=…  KEY=key_…  OPERATOR=…  CALL=…  MASTER_KEY_ID=…  WEBHOOK=…  MODEL=gpt-4o-mini
read -rs NEMO_API_KEY && export NEMO_API_KEY    # paste a virtual key";

/// A route as it is shown.
struct Shown<'a> {
    method: &'static str,
    path: &'a str,
    operation: &'a Operation,
}

pub(super) fn page() -> Markup {
    let document = &*DOCUMENT;
    let shown = shown(document);
    let navigation = html! {
        @for tag in document.tags.iter().flatten() {
            p { a href={ "#" (place(&tag.name)) } { (tag.name) } }
            ul {
                @for route in of_group(&shown, &tag.name) {
                    li { a href={ "#" (id(route.operation)) } { (title(route.operation)) } }
                }
            }
        }
        p { a href="#shapes" { "Shapes" } }
    };
    let content = html! {
        h1 { "HTTP interface" }
        (markdown(document.info.description.as_deref().unwrap_or_default()))
        h2 #examples { "The examples" }
        p { "Each route has an example that works as it stands, once its variables are set. No key stands in a \
             command line but in a shell's variable or in a file that only you can read:" }
        pre tabindex="0" { code { (PREPARE) } }
        @for tag in document.tags.iter().flatten() {
            section id=(place(&tag.name)) {
                h2 { (tag.name) }
                (markdown(tag.description.as_deref().unwrap_or_default()))
                @for route in of_group(&shown, &tag.name) { (article(document, route)) }
            }
        }
        section #shapes {
            h2 { "Shapes" }
            @for (name, schema) in document.components.iter().flat_map(|held| &held.schemas) {
                (shapes::whole(document, name, schema))
            }
        }
    };
    page::page("HTTP interface", &navigation, &content)
}

fn shown(document: &OpenApi) -> Vec<Shown<'_>> {
    document.paths.paths.iter().flat_map(|(path, item)| methods(path, item)).collect()
}

fn methods<'a>(path: &'a str, item: &'a PathItem) -> impl Iterator<Item = Shown<'a>> {
    let all = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    all.into_iter()
        .filter_map(move |(method, operation)| Some(Shown { method, path, operation: operation.as_ref()? }))
}

fn of_group<'a>(shown: &'a [Shown<'a>], name: &'a str) -> impl Iterator<Item = &'a Shown<'a>> {
    shown.iter().filter(move |route| route.operation.tags.iter().flatten().any(|tag| tag == name))
}

/// A group's place on the page: ids have no blanks.
fn place(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn id(operation: &Operation) -> &str {
    operation.operation_id.as_deref().unwrap_or_default()
}

fn title(operation: &Operation) -> &str {
    operation.summary.as_deref().unwrap_or_default()
}

fn article(document: &OpenApi, Shown { method, path, operation }: &Shown<'_>) -> Markup {
    let parameters = operation.parameters.iter().flatten();
    let body = operation.request_body.as_ref().and_then(|body| match body {
        RefOr::T(body) => body.content.values().next(),
        RefOr::Ref(_) => None,
    });
    html! {
        article id=(id(operation)) {
            h3 { a href={ "#" (id(operation)) } { (title(operation)) } }
            p .route {
                span .method .{ (method.to_lowercase()) } { (method) }
                code { (path) }
                span .power { (who(path)) }
            }
            (markdown(operation.description.as_deref().unwrap_or_default()))
            @if parameters.clone().next().is_some() {
                h4 { "Parameters" }
                (shapes::rows(parameters.filter_map(parameter)))
            }
            @if let Some(RefOr::T(content)) = body {
                @if let Some(schema) = &content.schema {
                    h4 { "Body" }
                    (shapes::table(document, schema))
                }
            }
            h4 { "Example" }
            pre tabindex="0" { code { (sample(operation)) } }
            (answers(operation))
        }
    }
}

fn parameter(parameter: &RefOr<Parameter>) -> Option<(String, Markup, String, bool)> {
    let RefOr::T(parameter) = parameter else { return None };
    let kind = parameter.schema.as_ref().map(|schema| shapes::kind(&shapes::json(schema)));
    let about = parameter.description.clone().unwrap_or_default();
    let is_required = matches!(parameter.required, Required::True);
    Some((parameter.name.clone(), kind.unwrap_or_default(), about, is_required))
}

fn answers(operation: &Operation) -> Markup {
    let all: Vec<(&String, &Response)> = operation
        .responses
        .responses
        .iter()
        .filter_map(|(status, response)| match response {
            RefOr::T(response) => Some((status, response)),
            RefOr::Ref(_) => None,
        })
        .collect();
    let (good, bad): (Vec<_>, Vec<_>) = all.into_iter().partition(|(status, _)| status.starts_with('2'));
    let list = |answers: &[(&String, &Response)]| {
        html! {
            dl {
                @for (status, response) in answers {
                    dt { (if *status == "default" { "the provider's" } else { status.as_str() }) }
                    dd { (markdown(&response.description)) (shape(response)) }
                }
            }
        }
    };
    html! {
        h4 { "Answers" }
        (list(&good))
        details { summary { "Errors" } (list(&bad)) }
    }
}

/// The shape of a good answer; all errors of a route have the same.
fn shape(response: &Response) -> Markup {
    let schemas = response.content.values().filter_map(|content| match content {
        RefOr::T(content) => content.schema.as_ref(),
        RefOr::Ref(_) => None,
    });
    let named = schemas.map(shapes::json).filter(|schema| schema.get("$ref").is_some());
    html! { @for schema in named { p .shape { (shapes::kind(&schema)) } } }
}

fn who(path: &str) -> &'static str {
    use crate::openapi::Power;
    match Power::over(path) {
        Power::VirtualKey => "virtual key",
        Power::MasterKey => "master key",
        Power::Nobody => "no key",
    }
}

fn sample(operation: &Operation) -> String {
    let extensions = operation.extensions.as_ref();
    let source =
        extensions.and_then(|held| held.get("x-codeSamples")?.get(0)?.get("source").and_then(Value::as_str));
    source.unwrap_or_default().to_owned()
}
