//! Where a pasted key goes, and where it never does.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::browser::{Story, tell};
use crate::fake_provider::Behaviour;
use crate::harness::{Setup, well_formed_key};

/// Files below a folder that hold a text, as bytes or in UTF-16.
fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
            if has(text.as_bytes()) || has(&wide) {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_in_its_tab_and_in_the_header_of_its_calls_and_nowhere_else() {
    let nemo = Setup::default().env("NEMO_LOG", "trace").start().await;
    let key = nemo.rich_key().await;
    let stranger = well_formed_key("zzzzzzzzzzA", &"q".repeat(36));
    let mut story =
        Story::start("playground-key", &nemo, json!({"key": key.secret(), "stranger": stranger})).await;
    story.until("never end").await;
    nemo.provider().script(Behaviour::success(9, 10_000).chunks(1000).each_chunk_after(SLOWLY));
    story.answer(json!({})).await;
    story.end().await;
    key.ended_calls().await;
    let log = nemo.stderr();
    nemo.terminate().await;
    for secret in [key.secret().as_str(), nemo.master_key(), stranger.as_str()] {
        assert!(!log.text().contains(secret), "the log has it");
        let found = files_with(&nemo.data(), secret);
        let found: Vec<_> = found.iter().filter(|path| !path.ends_with("secrets/master-key")).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_plain_http_the_page_says_so_and_keeps_the_key_in_memory_alone() {
    let nemo = Setup::default().start().await;
    let key = nemo.rich_key().await;
    tell("playground-plain", &nemo, json!({"key": key.secret()})).await;
    assert_eq!(key.ended_calls().await.len(), 1);
}

const SLOWLY: std::time::Duration = std::time::Duration::from_millis(20);

/// What is found on the disk of whoever pasted a key is told in `src/docs/threat-model.md`; this keeps that true.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_keeps_the_key_on_disk_where_the_threat_model_says_and_in_no_other_place() {
    let nemo = Setup::default().start().await;
    let key = nemo.rich_key().await;
    let mut story =
        Story::start("playground-disk", &nemo, json!({"key": key.secret(), "prompt": PROMPT})).await;
    let mut found = Vec::new();
    for moment in ["open", "tab closed", "closed", "opened again"] {
        story.until(moment).await;
        for (what, text) in [("key", key.secret()), ("prompt", PROMPT.to_owned())] {
            for path in files_with(story.profile(), &text) {
                let path = path.strip_prefix(story.profile()).unwrap().to_path_buf();
                found.push((moment, what, path));
            }
        }
        story.answer(json!({})).await;
    }
    story.end().await;
    println!("{found:#?}");
    let elsewhere = |(_, what, path): &&(&str, &str, PathBuf)| *what != "key" || !path.starts_with(KEPT);
    let elsewhere: Vec<_> = found.iter().filter(elsewhere).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

/// The database of `sessionStorage`.
const KEPT: &str = "kept/Default/Session Storage";
const PROMPT: &str = "a prompt that nobody would find by chance 7f3a";
