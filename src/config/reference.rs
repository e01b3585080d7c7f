//! The reference of all keys. It is made of the same declarations that read them, so it cannot lag behind.

use std::fmt::Write;

use super::price::{self, PriceEntry};
use super::provider::ProviderEntry;
use super::server::{Calls, Server};
use super::store::StoreEntry;
use super::telemetry::Telemetry;
use super::webhook::WebhookEntry;

/// One key, as the reference shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDoc {
    /// The heading under which it stands, such as `[server]` or `[[providers]]`.
    pub section: &'static str,
    /// Its name.
    pub key: &'static str,
    /// What its value must be.
    pub kind: String,
    /// What holds without it; in words where it depends on something.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// Declares a section once: its struct, how it is read, and its part of the reference. Each key has its
/// meaning, name, type, kind and default.
macro_rules! section {
    (
        $(#[$about:meta])*
        $visibility:vis struct $name:ident in $section:literal {
            $( $(#[doc = $meaning:literal])+ $key:ident: $type:ty = $kind:expr, $default:literal; )*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $visibility struct $name {
            $( $(#[doc = $meaning])+ pub $key: $type, )*
        }

        impl $name {
            /// The section's keys, for the reference and for telling unknown ones.
            pub(super) fn keys() -> Vec<$crate::config::reference::KeyDoc> {
                vec![$( $crate::config::reference::KeyDoc {
                    section: $section,
                    key: stringify!($key),
                    kind: $crate::config::kind::Kind::<$type>::describe(&$kind),
                    default: $default,
                    meaning: concat!($($meaning),+).trim_ascii(),
                } ),*]
            }

            /// The keys that have another value in another.
            #[allow(dead_code, reason = "only whole sections are compared by their keys")]
            pub(crate) fn differing(&self, other: &Self) -> Vec<&'static str> {
                let keys = [$( (stringify!($key), self.$key != other.$key) ),*];
                keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
            }

            /// Reads the section; each key by itself, so that everything that is wrong is found at once.
            pub(super) fn read(
                section: &$crate::config::read::Section<'_>,
            ) -> Result<Self, $crate::config::error::ConfigError> {
                let mut errors = Vec::new();
                $(
                    let value = $crate::config::kind::Kind::<$type>::field(&$kind, section, stringify!($key), $default);
                    let $key = value.map_err(|error| errors.push(error)).ok();
                )*
                match ($($key,)*) {
                    ($(Some($key),)*) => Ok(Self { $($key,)* }),
                    _ => Err($crate::config::error::ConfigError::several(errors)),
                }
            }
        }
    };
}
pub(super) use section;

/// Every key of the configuration.
#[must_use]
pub fn reference() -> Vec<KeyDoc> {
    let sections = [
        Server::keys(),
        StoreEntry::keys(),
        Calls::keys(),
        Telemetry::keys(),
        ProviderEntry::keys(),
        PriceEntry::keys(),
        price::tier_keys(),
        WebhookEntry::keys(),
    ];
    sections.concat()
}

/// The keys of this name, in whatever section.
pub(super) fn keys_named(name: &str) -> Vec<KeyDoc> {
    reference().into_iter().filter(|known| known.key == name).collect()
}

/// The reference as Markdown: a table for each section.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::new();
    let mut section = "";
    for KeyDoc { section: of, key, kind, default, meaning } in reference() {
        if of != section {
            section = of;
            let head = "| key | value | default | meaning |\n| --- | --- | --- | --- |";
            // Writing to a String cannot fail.
            let _ = writeln!(page, "\n## `{section}`\n\n{head}");
        }
        let _ = writeln!(page, "| `{key}` | {kind} | {default} | {meaning} |");
    }
    page.trim_ascii_start().to_owned()
}
