//! On a terminal: colours unless `NO_COLOR` says no, and questions before what cannot be undone. `script` from
//! util-linux lends the terminal.

use std::process::{Command, Stdio};

use super::{Ran, ran};
use crate::harness::Nemo;

/// Runs a command line on a terminal, with this typed into it; what the terminal shows is its stdout.
async fn on_a_terminal(nemo: &Nemo, line: &str, typed: &str, env: &[(&str, &str)]) -> Ran {
    let program = nemo.cli().get_program().to_string_lossy().into_owned();
    let mut command = Command::new("sh");
    command.env("NEMO_SERVER", nemo.url("")).env("NEMO_MASTER_KEY_FILE", nemo.master_key_file());
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(env.iter().copied());
    command.current_dir(nemo.home()).stdin(Stdio::null());
    // The question comes first, then the answer: `script` waits for its command in any case.
    command.arg("-c").arg(format!("printf '{typed}' | script -qec '{program} {line}' /dev/null"));
    ran(command).await
}

fn has_script() -> bool {
    Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn a_table_is_coloured_on_a_terminal_unless_no_color_is_set() {
    assert!(has_script(), "`script` of util-linux (Debian: bsdutils) is needed");
    let nemo = Nemo::start().await;
    nemo.rich_key().await;
    let head = nemo.ask("/api/ledger").await["position"].to_string();
    let line = format!("keys list --min-position {head}");
    let coloured = on_a_terminal(&nemo, &line, "", &[]).await;
    assert!(coloured.ok().contains("\u{1b}["), "{coloured:?}");
    let plain = on_a_terminal(&nemo, &line, "", &[("NO_COLOR", "1")]).await;
    assert!(!plain.ok().contains("\u{1b}[3") && plain.stdout.contains("active"), "{plain:?}");
    let data = on_a_terminal(&nemo, &format!("{line} --output json"), "", &[]).await;
    assert!(!data.ok().contains('\u{1b}'), "{data:?}");
}

#[tokio::test]
async fn what_cannot_be_undone_is_asked_about_on_a_terminal() {
    assert!(has_script(), "`script` of util-linux (Debian: bsdutils) is needed");
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let line = format!("keys revoke {}", key.id());
    let no = on_a_terminal(&nemo, &line, "n\\n", &[]).await;
    assert_eq!(no.code, 1, "{no:?}");
    assert!(no.stdout.contains("Go on? [y/N]") && no.stdout.contains("nothing was changed"), "{no:?}");
    assert_eq!(key.shown().await["status"], "active");
    on_a_terminal(&nemo, &line, "y\\n", &[]).await.ok();
    assert_eq!(key.shown().await["status"], "revoked");
}
