//! What a call used, by kind.

use serde::{Deserialize, Serialize};

/// Units by kind. The kinds are disjoint, so that each unit is priced once: `input` excludes what
/// the cache served or took, and what was audio or image. One is a note inside another kind and never
/// priced by itself: `reasoning` (inside `output`). Absent in JSON means zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Text tokens in, neither read from nor written to a cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub input: u64,
    /// Tokens in that the provider's cache served.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Tokens in that were written to the provider's cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    /// Tokens in that were written to the provider's one-hour cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Audio tokens in.
    #[serde(skip_serializing_if = "is_zero")]
    pub input_audio: u64,
    /// Audio tokens in that the provider's cache served.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read_audio: u64,
    /// Image tokens in, where the provider prices them apart.
    #[serde(skip_serializing_if = "is_zero")]
    pub input_image: u64,
    /// Text tokens out, reasoning included.
    #[serde(skip_serializing_if = "is_zero")]
    pub output: u64,
    /// Audio tokens out.
    #[serde(skip_serializing_if = "is_zero")]
    pub output_audio: u64,
    /// Image tokens out, where the provider prices them apart.
    #[serde(skip_serializing_if = "is_zero")]
    pub output_image: u64,
    /// Note: how many of `output` were hidden reasoning.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Web searches that the provider ran.
    #[serde(skip_serializing_if = "is_zero")]
    pub web_searches: u64,
    /// File searches that the provider ran.
    #[serde(skip_serializing_if = "is_zero")]
    pub file_searches: u64,
    /// Requests, for models with a fee per request: 1, else 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub requests: u64,
}

impl Usage {
    /// All tokens in. Saturates.
    #[must_use]
    pub const fn tokens_in(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_1h)
            .saturating_add(self.input_audio)
            .saturating_add(self.cache_read_audio)
            .saturating_add(self.input_image)
    }

    /// All tokens out. Saturates.
    #[must_use]
    pub const fn tokens_out(&self) -> u64 {
        self.output.saturating_add(self.output_audio).saturating_add(self.output_image)
    }

    /// All tokens. Saturates.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.tokens_in().saturating_add(self.tokens_out())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
const fn is_zero(units: &u64) -> bool {
    *units == 0
}
