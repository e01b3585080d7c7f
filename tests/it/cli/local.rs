//! Commands that do not speak to a server.

use std::process::Stdio;

use super::{ran, run};
use crate::harness::{Log, Nemo};

#[tokio::test]
async fn a_shell_learns_every_command() {
    let nemo = Nemo::start().await;
    for (shell, mark) in [("bash", "_nemo()"), ("zsh", "#compdef nemo"), ("fish", "complete -c nemo")] {
        let script = run(&nemo, &["completions", shell]).await;
        for word in [mark, "timeline", "--master-key-file", "retire-secret", "--follow"] {
            // Fish writes options without their dashes.
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(script.ok().contains(word), "{shell}: {word}");
        }
        assert_eq!(script.stderr, "");
    }
    let unknown = run(&nemo, &["completions", "tcsh"]).await;
    assert!(unknown.code == 2 && unknown.stderr.contains("bash"), "{unknown:?}");
    // In a file: it is longer than one argument may be.
    let script = nemo.home().join("completions.bash");
    std::fs::write(&script, run(&nemo, &["completions", "bash"]).await.stdout).unwrap();
    let mut bash = std::process::Command::new("bash");
    bash.arg("-n").arg(script);
    assert_eq!(ran(bash).await.stderr, "", "a script that bash understands");
}

#[tokio::test]
async fn a_ledger_is_verified_in_silence_on_stdout() {
    let nemo = Nemo::start().await;
    nemo.rich_key().await;
    let [in_use, first, lost, gone] = [(); 4].map(|()| {
        let mut command = nemo_program(&nemo);
        command.args(["ledger", "verify", "--data-dir"]).arg(nemo.data());
        command
    });
    let in_use = ran(in_use).await;
    let told = in_use.failed(1);
    assert!(told.contains("in use by process") && told.contains("ledger verify --serving"), "{told}");
    nemo.terminate().await;
    let good = ran(first).await;
    assert_eq!(good.ok(), "");
    assert!(good.stderr.contains("hash") && !good.stderr.contains('\r'), "{good:?}");
    std::fs::remove_file(nemo.data().join("ledger.sqlite3")).unwrap();
    assert!(ran(lost).await.failed(5).contains("missing or empty"));
    std::fs::remove_dir_all(nemo.data()).unwrap();
    assert!(ran(gone).await.failed(3).contains("There is no ledger in"));
    assert!(!nemo.data().exists(), "a look makes nothing");
}

#[tokio::test]
async fn the_simulated_provider_says_where_it_listens() {
    let nemo = Nemo::start().await;
    let mut command = nemo_program(&nemo);
    command.args(["simulate-provider", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    Log::of(child.stdout.take().unwrap()).until("listening on http://127.0.0.1:").await;
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The program, with nothing in its environment that speaks of a server.
fn nemo_program(nemo: &Nemo) -> std::process::Command {
    let mut command = nemo.cli();
    command.env_remove("NEMO_SERVER").env_remove("NEMO_MASTER_KEY_FILE");
    command
}
