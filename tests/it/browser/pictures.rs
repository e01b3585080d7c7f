//! The README's pictures, taken of a demo: that they can be, and that the README shows those that were. To take
//! them anew: `scripts/screenshots`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Story;
use crate::harness::Demo;

const PICTURES: [&str; 4] = ["overview", "keys", "replay", "playground"];
const THEMES: [&str; 2] = ["light", "dark"];
/// Whoever reads the README loads them, in one theme.
const LARGEST_BYTES: usize = 150 * 1024;
/// So many strange calls into the leak the replay stands.
const STRANGE_CALLS: usize = 40;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder has every picture, each one of them no larger than this.
fn all_are_there(folder: &Path, largest_bytes: usize) {
    for path in
        PICTURES.iter().flat_map(|name| THEMES.map(|theme| folder.join(format!("{name}-{theme}.png"))))
    {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(bytes.starts_with(b"\x89PNG"), "{}", path.display());
        assert!(bytes.len() <= largest_bytes, "{} has {} bytes", path.display(), bytes.len());
    }
}

/// The revision of the strange call at which the leaked key is shown.
fn in_the_leak(demo: &Demo) -> u64 {
    let events = demo.list(&["keys", "timeline", "key_DemoPartner"]);
    let is_strange = |event: &&serde_json::Value| {
        event["data"]["client"]["address"].as_str().is_some_and(|address| address.starts_with("203.0.113."))
    };
    let event = events.iter().filter(is_strange).nth(STRANGE_CALLS).expect("the key leaked");
    event["revision"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_a_demo_can_be_taken() {
    let demo = Demo::start().await;
    demo.stdout().until("/setup#").await;
    let words = demo.stdout().text();
    let said = |before: &str| {
        let rest = words.split_once(before).unwrap_or_else(|| panic!("no {before} in {words}")).1;
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let folder =
        std::env::var_os("NEMO_TEST_PICTURES").map_or_else(|| demo.home().join("pictures"), PathBuf::from);
    let gateway = json!({ "url": demo.url(), "inference": demo.url(), "master_key": demo.master_key() });
    let more = json!({
        "pictures": folder, "key": said("NEMO_API_KEY="), "link": format!("{}/setup#{}", demo.url(), said("/setup#")),
        "revision": in_the_leak(&demo),
    });
    Story::start_at("pictures", gateway, more).await.end().await;
    // What is taken here depends on the day; what is committed is measured below.
    all_are_there(&folder, usize::MAX);
}

#[test]
fn the_readme_shows_every_picture_in_both_themes() {
    all_are_there(&root().join("src/docs/pictures"), LARGEST_BYTES);
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for name in PICTURES {
        for theme in THEMES {
            assert!(readme.contains(&format!("src/docs/pictures/{name}-{theme}.png")), "{name}, {theme}");
        }
    }
}
