//! Values that are one text or number, as the OpenAPI document describes them.

use nemo_events::{
    BootId, CallId, Day, Digest, EventId, KeyId, LinkId, MasterKeyId, Nanos, NodeId, OperatorId, OrgId,
    PasswordId, PepperId, PriceCardId, Rate, RequestId, Revision, SessionId, Timestamp,
};
use serde_json::Value as Json;
use utoipa::{PartialSchema, ToSchema};

/// One kind of value.
pub(super) struct Value {
    /// Its name in the source.
    kind: &'static str,
    pub(super) name: String,
    pub(super) about: String,
    pub(super) example: String,
}

impl Value {
    fn of<T: ToSchema + PartialSchema>(kind: &'static str) -> Self {
        let schema = serde_json::to_value(T::schema()).unwrap();
        let example = match &schema["examples"][0] {
            Json::Null => String::new(),
            example => format!("`{example}`"),
        };
        let about = schema["description"].as_str().expect("it is described").to_owned();
        Self { kind, name: T::name().into_owned(), about, example }
    }
}

macro_rules! values {
    ($($kind:ident)*) => { vec![$(Value::of::<$kind>(stringify!($kind))),*] };
}

/// All of them.
pub(super) fn all() -> Vec<Value> {
    values![Nanos Rate Timestamp Day Digest KeyId OrgId CallId RequestId EventId Revision PriceCardId PepperId MasterKeyId
        NodeId BootId OperatorId PasswordId SessionId LinkId]
}

/// What a value of this type is called, if it is one.
pub(super) fn named(kind: &str) -> Option<String> {
    let named = || all().into_iter().find(|value| value.kind == kind);
    match kind {
        "String" => Some("text".to_owned()),
        "bool" => Some("true or false".to_owned()),
        "u8" | "u16" | "u32" | "u64" => Some("number".to_owned()),
        "IpNet" => Some("network, such as `10.0.0.0/8`".to_owned()),
        _ => named().map(|value| format!("[{}](#values)", value.name)),
    }
}
