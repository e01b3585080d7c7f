//! `nemo doctor`: what it says of a gateway that is in order, of one that runs, and of everything that can be wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use super::{FORMATS, Ran, ran};
use crate::harness::{Nemo, start_an_hour_ahead};

/// The doctor's command line for a gateway's own configuration.
fn doctor(nemo: &Nemo, more: &[&str]) -> Command {
    let mut command = nemo.cli();
    command.env_remove("NEMO_SERVER").env_remove("NEMO_MASTER_KEY_FILE");
    command.arg("doctor").arg("--config").arg(nemo.home().join("nemo.toml")).args(more);
    command
}

/// All findings of a level, as `check: found → next`.
fn findings(ran: &Ran, level: &str) -> Vec<String> {
    let all: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error} {ran:?}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = all.iter().filter(|finding| finding["level"] == level);
    of.map(|f| format!("{}: {} → {}", text(&f["check"]), text(&f["found"]), text(&f["next"]))).collect()
}

/// Whether one of the findings has all of these in it.
fn has(findings: &[String], parts: &[&str]) -> bool {
    findings.iter().any(|finding| parts.iter().all(|part| finding.contains(part)))
}

async fn examined(command: Command) -> Ran {
    let mut command = command;
    command.args(["--output", "json"]);
    ran(command).await
}

#[tokio::test]
async fn a_running_gateway_is_in_order_and_its_master_key_is_nagged_about() {
    let nemo = Nemo::start().await;
    let ran = examined(doctor(&nemo, &[])).await;
    assert_eq!((ran.code, findings(&ran, "fail")), (0, Vec::new()), "{ran:?}");
    let good = findings(&ran, "ok");
    for parts in [
        &["configuration: ", "nemo.toml"][..],
        &["ledger: process ", "serves it"],
        &["provider fake: it accepts the key"],
        &["provider fake: 3 models have a price"],
        &["disk: a sync takes"],
        &["clock: "],
        &["secrets: ", "whole"],
    ] {
        assert!(has(&good, parts), "{parts:?} {good:#?}");
    }
    assert!(has(&findings(&ran, "warn"), &["secrets: the master key is still in", "safe place"]), "{ran:?}");
    assert_eq!(nemo.provider().bill().total(), 0, "nothing that costs was asked for");
    assert!(ran.stderr.contains("in order") && ran.stderr.contains("0 to mend"), "{ran:?}");

    fs::rename(nemo.master_key_file(), nemo.home().join("elsewhere")).unwrap();
    let ran = examined(doctor(&nemo, &["--offline"])).await;
    assert!(has(&findings(&ran, "ok"), &["the master key is not beside its digest"]), "{ran:?}");
    assert!(!ran.stdout.contains("accepts the key"), "offline nobody is asked: {ran:?}");
}

#[tokio::test]
async fn the_findings_come_in_every_format() {
    let nemo = Nemo::start().await;
    for format in FORMATS {
        let ran = ran(doctor(&nemo, &["--output", format])).await;
        assert!(ran.ok().contains("provider fake") && !ran.stdout.contains('\x1b'), "{ran:?}");
        match format {
            "json" => drop(ran.json()),
            "csv" => assert!(ran.csv().iter().all(|row| ["ok", "warn"].contains(&row["level"].as_str()))),
            "jsonl" => ran.stdout.lines().for_each(|line| drop(serde_json::from_str::<Value>(line).unwrap())),
            _ => assert!(ran.stdout.contains("● ok"), "{ran:?}"),
        }
        assert!(!ran.stdout.contains(&nemo.provider().key()), "no provider's key: {ran:?}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_configuration_is_told_at_once_with_its_place() {
    let nemo = Nemo::start().await;
    let file = nemo.home().join("bad.toml");
    let text = "[server]\nlisen = \"127.0.0.1:1\"\ndrain_secs = -1\n[calls]\ndeadline_secs = \"soon\"\n\
                [[providers]]\nname = \"openai\"\n[[providers]]\nname = \"mine\"\nno_api_key = true\n[oops]\n";
    fs::write(&file, text).unwrap();
    let mut command = nemo.cli();
    command.arg("doctor").arg("--config").arg(&file);
    let ran = examined(command).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let wrong = findings(&ran, "fail");
    for parts in [
        &["bad.toml:2", "lisen", "did you mean `listen`?"][..],
        &["bad.toml:3", "drain_secs"],
        &["bad.toml:5", "deadline_secs"],
        &["bad.toml:6", "api_key_env"],
        &["bad.toml:8", "base_url"],
        &["bad.toml:11", "oops"],
    ] {
        assert!(has(&wrong, parts), "{parts:?} {wrong:#?}");
    }
    assert_eq!(wrong.len(), 6, "{wrong:#?}");
    let mut serve = nemo.cli();
    serve.arg("serve").arg("--config").arg(&file);
    let refused = super::ran(serve).await;
    assert!(
        refused.code == 1 && refused.stderr.contains("lisen") && refused.stderr.contains("oops"),
        "{refused:?}"
    );
    let mut nowhere = nemo.cli();
    nowhere.args(["doctor", "--config", "nowhere.toml"]);
    assert!(has(&findings(&examined(nowhere).await, "fail"), &["nowhere.toml", "nemo init"]));
}

#[tokio::test]
async fn a_provider_that_refuses_the_key_or_is_away_is_told_within_seconds() {
    let nemo = Nemo::start().await;
    fs::write(nemo.home().join("provider-key"), "sk-wrong").unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let prices = "\n[[prices]]\nprovider = \"away\"\nmodel = \"m\"\ninput = \"1\"\noutput = \"1\"\ncontext_window = 9\n\
                  max_output_tokens = 9\n";
    let file = nemo.home().join("nemo.toml");
    let text = fs::read_to_string(&file).unwrap();
    let more = format!(
        "{prices}[[providers]]\nname = \"away\"\nbase_url = \"http://{nobody}/v1\"\nno_api_key = true\nmodels = [\"m\", \"n\"]\n\
         [[providers]]\nname = \"keyless\"\nbase_url = \"http://{nobody}/v1\"\napi_key_env = \"NEMO_TEST_NOT_SET\"\n"
    );
    fs::write(&file, text + &more).unwrap();
    let ran = examined(doctor(&nemo, &[])).await;
    assert_eq!(ran.code, 1);
    let wrong = findings(&ran, "fail");
    assert!(has(&wrong, &["provider fake: it refuses the key (401)"]), "{wrong:#?}");
    assert!(has(&wrong, &["provider away: it cannot be reached"]), "{wrong:#?}");
    assert!(has(&wrong, &["provider keyless: ", "NEMO_TEST_NOT_SET is not set"]), "{wrong:#?}");
    assert!(has(&findings(&ran, "warn"), &["provider away: n has no price"]), "{ran:?}");
    assert!(!ran.stdout.contains("sk-wrong"));
    let asked: Vec<_> = nemo.provider().requests().iter().map(|request| request.path.clone()).collect();
    assert!(asked.iter().all(|path| !path.contains("completions")), "no call was made: {asked:?}");
}

#[tokio::test]
async fn a_stopped_gateway_is_told_from_one_that_runs_and_what_keeps_it_from_starting_is_named() {
    let nemo = Nemo::start().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    let mut taken = doctor(&nemo, &[]);
    taken.env("NEMO_SERVER__LISTEN", &address);
    let (plain, exposed, gone) = (doctor(&nemo, &[]), doctor(&nemo, &[]), doctor(&nemo, &[]));
    nemo.terminate().await;
    let ran = examined(plain).await;
    assert!(has(&findings(&ran, "ok"), &["ledger: nobody has"]), "{ran:?}");
    let ran = examined(taken).await;
    assert!(has(&findings(&ran, "fail"), &["listening: cannot listen on", &address]), "{ran:?}");
    let peppers = nemo.data().join("secrets/peppers.toml");
    fs::set_permissions(&peppers, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = examined(exposed).await;
    assert!(has(&findings(&ran, "fail"), &["secrets: ", "peppers.toml", "chmod 600"]), "{ran:?}");
    fs::remove_dir_all(nemo.data().join("secrets")).unwrap();
    let ran = examined(gone).await;
    assert_eq!(ran.code, 1);
    assert!(has(&findings(&ran, "fail"), &["secrets: there is no secrets directory"]), "{ran:?}");
}

#[tokio::test]
async fn a_ledger_from_the_future_is_told_though_its_files_were_written_just_now() {
    let nemo = Nemo::start().await;
    let look = doctor(&nemo, &[]);
    nemo.terminate().await;
    let store = nemo.open_store().await;
    start_an_hour_ahead(&*store).await;
    store.close().await;
    let ran = examined(look).await;
    assert!(has(&findings(&ran, "fail"), &["clock: ", "s behind the last event in the ledger"]), "{ran:?}");
    assert!(nemo.try_restart().await.is_err(), "which is what the node says as well");
}
