//! What is exact, what is safe, and what is silent.

use serde_json::json;

use super::{ran, run};
use crate::harness::Nemo;

#[tokio::test]
async fn money_is_exact_in_files_and_a_text_is_never_a_formula() {
    let nemo = Nemo::start().await;
    let org = nemo.org().await.to_owned();
    let limits = json!({"budgets": [{"window": "total", "limit": "1234.567891234"}]});
    for name in ["=1+1", "+1", "-1", "@SUM(A1)", "a,\"b\",=1"] {
        nemo.tell("/api/keys", json!({ "org": org, "name": name, "limits": limits })).await;
    }
    let head = nemo.ask("/api/ledger").await["position"].to_string();
    let listed = run(&nemo, &["keys", "list", "--min-position", &head, "--output", "csv"]).await;
    let rows = listed.csv();
    assert_eq!(rows.len(), 5);
    for row in &rows {
        assert_eq!(row["budget_total"], "1234.567891234");
        assert!(!row["name"].starts_with(['=', '+', '-', '@']), "{row:?}");
    }
    let table = run(&nemo, &["keys", "list", "--min-position", &head]).await;
    assert!(table.ok().contains("total $1,234.57") && !table.stdout.contains('\t'), "{table:?}");
    let json = run(&nemo, &["keys", "list", "--min-position", &head, "--output", "json"]).await.json();
    assert_eq!(json[0]["limits"]["budgets"][0]["limit"], "1234.567891234");
}

#[tokio::test]
async fn an_empty_list_is_a_document_on_stdout_and_words_on_stderr() {
    let nemo = Nemo::start().await;
    for (line, words) in [
        (&["keys", "list"][..], "No keys."),
        (&["orgs", "list"], "No orgs."),
        (&["spend", "--by", "job"], "Nothing was spent."),
    ] {
        for (format, empty) in [("table", ""), ("jsonl", "")] {
            let ran = run(&nemo, &[line, &["--output", format]].concat()).await;
            assert_eq!((ran.ok(), ran.stderr.trim_end()), (empty, words), "{line:?} {format}");
        }
        let csv = run(&nemo, &[line, &["--output", "csv"]].concat()).await;
        assert_eq!(csv.ok().lines().count(), 1, "a header: {csv:?}");
        assert!(
            run(&nemo, &[line, &["--output", "json"]].concat()).await.json().is_object()
                || line[0] != "spend"
        );
    }
}

#[tokio::test]
async fn no_secret_is_taken_from_the_command_line_and_none_is_in_the_help_or_repeated() {
    let nemo = Nemo::start().await;
    let secret = nemo.rich_key().await.secret();
    for line in
        [&["keys", "show", &secret][..], &["spend", "--of", &secret], &["calls", "show", &secret], &[&secret]]
    {
        let ran = run(&nemo, line).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(!ran.stderr.contains(&secret[8..]), "{ran:?}");
    }
    for line in [
        &["--help"][..],
        &["keys", "create", "--help"],
        &["help", "keys", "list"],
        &["calls", "correct", "-h"],
    ] {
        let ran = run(&nemo, line).await;
        let path = nemo.master_key_file();
        assert!(
            !ran.ok().contains(path.to_str().unwrap()) && !ran.stdout.contains(nemo.master_key()),
            "{ran:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_undone_needs_a_yes_off_a_terminal() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    for line in [
        &["keys", "revoke", key.id()][..],
        &["orgs", "archive", "acme"],
        &["keys", "rotate", key.id(), "--leaked"],
    ] {
        assert!(run(&nemo, line).await.failed(2).contains("--yes"));
    }
    assert_eq!(key.shown().await["status"], "active");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_a_list_without_a_word() {
    let nemo = Nemo::start().await;
    let mut command = std::process::Command::new("sh");
    let program = nemo.cli().get_program().to_owned();
    command.env("NEMO_SERVER", nemo.url("")).env("NEMO_MASTER_KEY_FILE", nemo.master_key_file());
    command.arg("-c").arg("\"$0\" prices list --output jsonl | head -n 1").arg(program);
    let ran = ran(command).await;
    assert_eq!((ran.ok().lines().count(), ran.stderr.as_str()), (1, ""), "{ran:?}");
}
