//! `nemo reload`: what changed, in every format, and why nothing did.

use std::net::TcpListener;

use serde_json::json;

use super::{ran, run};
use crate::harness::Nemo;

/// Changes the price of `gpt-test`, a setting that takes effect, and one that does not.
fn change(nemo: &Nemo) {
    let path = nemo.home().join("nemo.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replacen("input = \"2.50\"", "input = \"3\"", 1).replace("workers = 2", "workers = 1");
    std::fs::write(path, text.replace("[calls]", "[calls]\ndeadline_secs = 90")).unwrap();
}

#[tokio::test]
async fn a_reload_tells_what_changed_in_every_format() {
    for format in ["table", "csv", "json", "jsonl"] {
        let nemo = Nemo::start().await;
        change(&nemo);
        let ran = run(&nemo, &["reload", "--output", format]).await;
        let told = ran.ok().to_owned();
        assert!(ran.stderr.contains("server.workers differs from the start"), "{format}: {ran:?}");
        if format.starts_with("json") {
            assert_eq!(told.lines().count(), 1, "{told}");
            let answer: serde_json::Value = serde_json::from_str(&told).unwrap();
            assert_eq!(answer["prices"]["changed"], json!(["fake/gpt-test"]));
            assert_eq!(
                (&answer["calls"], &answer["needs_restart"]),
                (&json!(["deadline_secs"]), &json!(["server.workers"]))
            );
        } else {
            assert_eq!(told.lines().count(), 3, "a heading and two changes: {told}");
            for part in ["fake/gpt-test", "price", "deadline_secs", "setting", "changed"] {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
        let again = run(&nemo, &["reload"]).await;
        assert_eq!(again.ok(), "");
        assert!(again.stderr.contains("Nothing changed."), "{again:?}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_fails_the_command_with_its_place() {
    let nemo = Nemo::start().await;
    let path = nemo.home().join("nemo.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("[calls]", "[calls]\ndeadline_secs = \"soon\"")).unwrap();
    let ran = run(&nemo, &["reload"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("nemo.toml:") && ran.stderr.contains("calls.deadline_secs"), "{ran:?}");
}

#[tokio::test]
async fn a_reload_without_its_server_or_its_key_fails_as_every_command_does() {
    let nemo = Nemo::start().await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut unreachable = nemo.cli();
    unreachable.env("NEMO_SERVER", format!("http://{nobody}")).arg("reload");
    assert!(ran(unreachable).await.failed(6).contains("--server"));
    let other = Nemo::start().await;
    let mut stranger = nemo.cli();
    stranger.env("NEMO_MASTER_KEY_FILE", other.master_key_file()).arg("reload");
    ran(stranger).await.failed(4);
    assert_eq!(run(&nemo, &["reload", "--no-such-option"]).await.code, 2);
}
