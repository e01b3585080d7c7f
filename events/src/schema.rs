//! How the vocabulary looks as JSON Schema, for the OpenAPI document. What is derived stands at the types;
//! here are those whose JSON is a text or a number of a certain form.

use std::borrow::Cow;

use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::{
    BootId, CallId, Day, Digest, EventId, KeyId, LinkId, MasterKeyId, Nanos, NodeId, OperatorId, OrgId,
    PasswordId, PepperId, Position, PriceCardId, Rate, RequestId, Revision, SessionId, Timestamp,
};

const MONEY: &str = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,9})?$";
const HASH: &str = "^[0-9a-f]{64}$";
const HASH_EXAMPLE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const UUID_EXAMPLE: &str = "019a8f3e-9d2c-7c31-8d0e-5b1f6a2c4e70";

/// A type that is a text matching a pattern.
macro_rules! texts {
    ($($name:ident as $shown:literal: $pattern:expr, $example:expr, $about:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).description(Some($about));
                text.pattern(Some($pattern)).examples([$example]).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($shown)
            }
        }
    )*};
}

/// A type that is a text in a format with a name.
macro_rules! formats {
    ($($name:ident: $format:literal, $example:expr, $about:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).description(Some($about));
                text.format(Some(SchemaFormat::Custom($format.to_owned()))).examples([$example]).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

/// A type that is a whole number from 0.
macro_rules! numbers {
    ($($name:ident: $about:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let number = ObjectBuilder::new().schema_type(Type::Integer).description(Some($about));
                let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
                number.format(Some(format)).minimum(Some(0)).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

texts! {
    Nanos as "Money": MONEY, "2.5", "Dollars, exactly: a decimal in a string, with at most nine places.";
    Rate as "Rate": MONEY, "0.15", "Dollars for a million units: a decimal in a string, with at most nine places.";
    Digest as "Digest": HASH, HASH_EXAMPLE, "32 bytes in hexadecimal.";
    PriceCardId as "PriceCardId": HASH, HASH_EXAMPLE, "The content hash of a price card.";
    KeyId as "KeyId": "^key_[0-9A-Za-z]{11}$", "key_0123456789A", "A virtual key's public id. No secret.";
    MasterKeyId as "MasterKeyId": "^[0-9A-Za-z]{11}$", "0123456789A", "A master key's public id. No secret.";
    NodeId as "NodeId": r"^[0-9A-Za-z._-]{1,64}$", "node-1", "A node's configured name.";
    PepperId as "PepperId": r"^[0-9A-Za-z._-]{1,32}$", "p-1", "Which pepper a digest was made with.";
}

formats! {
    OrgId: "uuid", UUID_EXAMPLE, "An org.";
    OperatorId: "uuid", UUID_EXAMPLE, "A person who logs in.";
    PasswordId: "uuid", UUID_EXAMPLE, "One password that an operator chose; its hash is found by it.";
    SessionId: "uuid", UUID_EXAMPLE, "One login, until it ends.";
    LinkId: "uuid", UUID_EXAMPLE, "A link with which somebody chooses a password.";
    CallId: "uuid", UUID_EXAMPLE, "One attempt at one provider.";
    RequestId: "uuid", UUID_EXAMPLE, "What a client sent; several calls may serve it.";
    EventId: "uuid", UUID_EXAMPLE, "One recorded event.";
    BootId: "uuid", UUID_EXAMPLE, "One start of one node's process.";
    Day: "date", "2026-11-22", "A calendar day in UTC.";
    Timestamp: "date-time", "2026-11-22T12:00:00.000000Z", "A moment, RFC 3339 in UTC.";
}

numbers! {
    Position: "A place in the ledger's order of all events. Only good for comparing within one ledger.";
    Revision: "An event's number in its own stream, from 0.";
}
