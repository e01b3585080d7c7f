//! Style sheets, modules and pictures of the pages: embedded in the binary, in debug builds reread from disk.
//!
//! An asset's address holds a hash over all assets, so whoever has one may keep it for ever, and a page never
//! gets a module of another build. Whatever is not in the folder is not there.

use std::borrow::Cow;
#[cfg(not(debug_assertions))]
use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::headers::RESOURCE_POLICY;
use crate::error::{Failure, FailureReply};

/// The path of an asset, as the router knows it.
pub const PATH: &str = "/assets/{build}/{name:.+}";
/// A year, which stands for ever.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Hexadecimal digits of the hash in an address.
const DIGITS: usize = 16;

#[derive(RustEmbed)]
#[folder = "src/dashboard/assets/"]
struct Files;

/// All assets at one moment, by the hash over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build(Cow<'static, str>);

impl Build {
    /// That of this binary; in a debug build, of the files as they are now.
    #[must_use]
    pub fn now() -> Self {
        #[cfg(debug_assertions)]
        return Self(Cow::Owned(hash()));
        #[cfg(not(debug_assertions))]
        {
            static HASH: LazyLock<String> = LazyLock::new(hash);
            Self(Cow::Borrowed(HASH.as_str()))
        }
    }

    /// The address of an asset.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("/assets/{}/{name}", self.0)
    }
}

/// The names of all assets, for whoever wants to look at each.
pub fn names() -> impl Iterator<Item = String> {
    Files::iter().map(Cow::into_owned)
}

/// An asset's bytes.
#[must_use]
pub fn bytes(name: &str) -> Option<Cow<'static, [u8]>> {
    Files::get(name).map(|file| file.data)
}

/// `GET /assets/{build}/{name}`
///
/// # Errors
/// `not_found`
pub async fn serve(
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, FailureReply> {
    let (build, name) = path.into_inner();
    let found = media(&name).zip(bytes(&name)).filter(|_| Build::now().0 == build);
    let (media, bytes) = found.ok_or_else(|| FailureReply::to(&request, Failure::not_found()))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media))
        .insert_header((CACHE_CONTROL, FOR_EVER))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((RESOURCE_POLICY, "same-origin"))
        .body(bytes.into_owned()))
}

/// What kind of thing an asset is; a kind that nobody named is not served.
fn media(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

fn hash() -> String {
    let mut names: Vec<String> = names().collect();
    names.sort_unstable();
    let mut hasher = Sha256::new();
    for (name, file) in names.iter().filter_map(|name| Some((name, Files::get(name)?))) {
        hasher.update(name.as_bytes());
        hasher.update([0]);
        hasher.update(file.metadata.sha256_hash());
    }
    let digest = hasher.finalize();
    digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(DIGITS).map(digit).collect()
}

fn digit(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_has_a_kind_and_an_address() {
        let build = Build::now();
        assert_eq!(build.0.len(), DIGITS);
        assert_eq!(build, Build::now());
        for name in names() {
            assert!(media(&name).is_some(), "{name}");
            assert!(bytes(&name).is_some_and(|bytes| !bytes.is_empty()), "{name}");
        }
        assert!(names().any(|name| name == "base.css"));
    }

    #[test]
    fn nothing_outside_of_the_folder_is_an_asset() {
        for name in ["../mod.rs", "../../lib.rs", "/etc/passwd", "base.css/..", "", "."] {
            assert!(bytes(name).is_none(), "{name}");
        }
    }
}
