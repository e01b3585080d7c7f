//! The shapes of requests and answers, as they get into the document.

use std::borrow::Cow;
use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr};

/// A type that is read or written.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    name: fn() -> Cow<'static, str>,
    schema: fn() -> RefOr<Schema>,
    inner: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    pub(super) fn of<T: ToSchema>() -> Self {
        Self { name: T::name, schema: T::schema, inner: T::schemas }
    }

    /// The type itself.
    pub(super) fn schema(&self) -> RefOr<Schema> {
        (self.schema)()
    }
}

/// The types that the document holds by name.
#[derive(Default)]
pub(super) struct Shapes(BTreeMap<String, RefOr<Schema>>);

impl Shapes {
    /// A reference to a type, which is held from then on. Texts and numbers have no name.
    pub(super) fn reference(&mut self, shape: &Shape) -> RefOr<Schema> {
        self.hold_inner(shape);
        let (name, schema) = ((shape.name)(), shape.schema());
        if matches!(&schema, RefOr::T(Schema::Object(object)) if object.properties.is_empty()) {
            return schema;
        }
        self.0.entry(name.clone().into_owned()).or_insert(schema);
        Ref::from_schema_name(name).into()
    }

    /// Holds all types that a type refers to.
    pub(super) fn hold_inner(&mut self, shape: &Shape) {
        let mut inner = Vec::new();
        (shape.inner)(&mut inner);
        for (name, schema) in inner {
            self.0.entry(name).or_insert(schema);
        }
    }

    /// All of them, by name.
    pub(super) fn into_all(self) -> BTreeMap<String, RefOr<Schema>> {
        self.0
    }
}
