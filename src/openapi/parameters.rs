//! What stands in a route's path and query string.

use nemo_events::{CallId, KeyId, MasterKeyId, OrgId};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{RefOr, Required};

use super::route::Route;
use super::shapes::{Shape, Shapes};

/// The parameters in a path's braces.
pub(super) fn of_path(route: &Route, shapes: &mut Shapes) -> Vec<Parameter> {
    let path = route.shown_path();
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    let parameter = |name: &str| {
        let (shape, about) = shape_of(&path, name);
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
        let parameter = parameter.required(Required::True).description(Some(about));
        parameter.schema(Some(shapes.reference(&shape))).build()
    };
    names.map(parameter).collect()
}

fn shape_of(path: &str, name: &str) -> (Shape, &'static str) {
    match name {
        "id" if path.starts_with("/api/keys/") => (Shape::of::<KeyId>(), "The key's id."),
        "id" if path.starts_with("/api/orgs/") => (Shape::of::<OrgId>(), "The org's id."),
        "id" if path.starts_with("/api/master-keys/") => {
            (Shape::of::<MasterKeyId>(), "The master key's public id.")
        }
        "id" if path.starts_with("/api/calls/") => (Shape::of::<CallId>(), "The call's id."),
        _ => (Shape::of::<String>(), "Its name."),
    }
}

/// The members of a query string.
pub(super) fn of_query(route: &Route, shapes: &mut Shapes) -> Vec<Parameter> {
    let Some(query) = &route.query else { return Vec::new() };
    shapes.hold_inner(&query.shape);
    let RefOr::T(Schema::Object(object)) = query.shape.schema() else { return Vec::new() };
    let required = object.required;
    let parameter = |(name, schema): (String, RefOr<Schema>)| {
        let is_required = if required.contains(&name) { Required::True } else { Required::False };
        let (schema, about) = without_null(schema);
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
        parameter.required(is_required).description(about).schema(Some(schema)).build()
    };
    object.properties.into_iter().map(parameter).collect()
}

/// A member's schema and its description. What may be left out of a query string cannot be `null` in it.
fn without_null(schema: RefOr<Schema>) -> (RefOr<Schema>, Option<String>) {
    match schema {
        RefOr::T(Schema::OneOf(one_of)) => {
            let about = one_of.description;
            let is_null = |item: &RefOr<Schema>| matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
            let (item, own) = match one_of.items.into_iter().find(|item| !is_null(item)) {
                Some(item) => without_null(item),
                None => (RefOr::default(), None),
            };
            (item, about.or(own))
        }
        RefOr::T(Schema::Object(mut object)) => {
            let about = object.description.take();
            if let SchemaType::Array(types) = &object.schema_type
                && let Some(only) = types.iter().find(|of| **of != Type::Null)
            {
                object.schema_type = SchemaType::Type(only.clone());
            }
            (RefOr::T(Schema::Object(object)), about)
        }
        RefOr::Ref(mut reference) => {
            let about = std::mem::take(&mut reference.description);
            (RefOr::Ref(reference), (!about.is_empty()).then_some(about))
        }
        other => (other, None),
    }
}
