//! Shapes of requests and answers, as tables of their fields.

use maud::{Markup, html};
use serde_json::Value;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{OpenApi, RefOr};

use super::page::markdown;

/// A field of a shape.
struct Field {
    name: String,
    kind: Markup,
    about: String,
    is_required: bool,
}

/// The fields of a shape as a table; its kind, where it has none.
pub(super) fn table(document: &OpenApi, schema: &RefOr<Schema>) -> Markup {
    let fields = fields(document, schema);
    if fields.is_empty() {
        return html! { p { (kind(&json(schema))) } };
    }
    rows(fields.into_iter().map(|Field { name, kind, about, is_required }| (name, kind, about, is_required)))
}

/// A table of what has a name, a kind, a meaning, and may have to be there.
pub(super) fn rows(fields: impl Iterator<Item = (String, Markup, String, bool)>) -> Markup {
    html! {
        div .wide tabindex="0" {
            table {
                thead { tr { th { "Field" } th { "Kind" } th { "Meaning" } } }
                tbody {
                    @for (name, kind, about, is_required) in fields {
                        tr {
                            td { code { (name) } @if is_required { " " span .required { "required" } } }
                            td { (kind) }
                            td { (markdown(&about)) }
                        }
                    }
                }
            }
        }
    }
}

/// The shape of this name.
fn named<'a>(document: &'a OpenApi, reference: &str) -> Option<&'a RefOr<Schema>> {
    let name = reference.rsplit('/').next()?;
    document.components.as_ref()?.schemas.get(name)
}

fn fields(document: &OpenApi, schema: &RefOr<Schema>) -> Vec<Field> {
    match schema {
        RefOr::Ref(reference) => named(document, &reference.ref_location)
            .map(|schema| fields(document, schema))
            .unwrap_or_default(),
        RefOr::T(Schema::AllOf(all)) => all.items.iter().flat_map(|item| fields(document, item)).collect(),
        RefOr::T(Schema::Object(object)) => {
            let field = |(name, schema): (&String, &RefOr<Schema>)| {
                let value = json(schema);
                let about = value.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
                let is_required = object.required.contains(name);
                Field { name: name.clone(), kind: kind(&value), about, is_required }
            };
            object.properties.iter().map(field).collect()
        }
        RefOr::T(_) => Vec::new(),
    }
}

/// A schema as JSON, to be told in words. A schema can always be written.
pub(super) fn json(schema: &RefOr<Schema>) -> Value {
    serde_json::to_value(schema).unwrap_or(Value::Null)
}

/// What kind of value a schema allows, in words; shapes that have a name are linked.
pub(super) fn kind(schema: &Value) -> Markup {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        return html! { a href={ "#shape-" (name) } { (name) } };
    }
    for (of, between) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " with ")] {
        if let Some(items) = schema.get(of).and_then(Value::as_array) {
            return html! { @for (at, item) in items.iter().enumerate() { @if at > 0 { (between) } (kind(item)) } };
        }
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let texts = values.iter().filter_map(Value::as_str);
        return html! { @for (at, text) in texts.enumerate() { @if at > 0 { ", " } code { (text) } } };
    }
    match schema.get("type") {
        Some(Value::Array(types)) => {
            let one = |of: &Value| {
                let mut schema = schema.clone();
                if let Some(members) = schema.as_object_mut() {
                    members.insert("type".to_owned(), of.clone());
                }
                kind(&schema)
            };
            html! { @for (at, of) in types.iter().enumerate() { @if at > 0 { " or " } (one(of)) } }
        }
        Some(Value::String(of)) if of == "array" => {
            html! { "list of " (kind(schema.get("items").unwrap_or(&Value::Null))) }
        }
        Some(Value::String(of)) => {
            let format =
                schema.get("format").and_then(Value::as_str).filter(|format| !format.starts_with("int"));
            html! { (of) @if let Some(format) = format { " (" (format) ")" } }
        }
        _ => html! { "any JSON" },
    }
}

/// A shape by itself: what it is, and its fields or the form of its text.
pub(super) fn whole(document: &OpenApi, name: &str, schema: &RefOr<Schema>) -> Markup {
    let value = json(schema);
    let text = |member: &str| value.get(member).and_then(Value::as_str);
    html! {
        section .shape id={ "shape-" (name) } {
            h3 { a href={ "#shape-" (name) } { (name) } }
            (markdown(text("description").unwrap_or_default()))
            @if let Some(pattern) = text("pattern") { p { "A text like " code { (pattern) } "." } }
            (table(document, schema))
        }
    }
}
