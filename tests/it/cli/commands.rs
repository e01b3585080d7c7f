//! Every command of the tree has an entry here, and the tests run every entry: in each format that it has, and
//! where it must fail. A command without an entry fails a test, so that none goes untested.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;

use clap::CommandFactory;
use nemo::cli::Cli;
use serde_json::json;

use super::{FORMATS, Ran, ran, run};
use crate::harness::{Key, Nemo};

/// A command that speaks to a server: its words, and its arguments. Of these, `KEY` stands for a new key,
/// `CALL` for one of its calls, `PERSON` for somebody who signs in, `ORG` for an org, `NEW_ORG` for one that is only for this command, `NEW_DIR` for
/// a directory that is not there.
const REMOTE: &[(&str, &str)] = &[
    ("keys create", "--org ORG --name made --budget day=1"),
    ("keys list", ""),
    ("keys show", "KEY"),
    ("keys relabel", "KEY --job nightly"),
    ("keys limits", "KEY --budget day=2"),
    ("keys block", "KEY --reason odd"),
    ("keys unblock", "KEY"),
    ("keys rotate", "KEY"),
    ("keys retire-secret", "ROTATED --version 1"),
    ("keys clear-model", "KEY --provider fake --provider-model gpt-test"),
    ("keys revoke", "KEY --yes"),
    ("keys calls", "KEY"),
    ("keys timeline", "KEY"),
    ("keys replay", "KEY --at @0"),
    ("orgs create", "new"),
    ("orgs list", ""),
    ("orgs show", "ORG"),
    ("orgs rename", "NEW_ORG renamed"),
    ("orgs defaults", "NEW_ORG --budget month=25"),
    ("orgs bounds", "NEW_ORG --budget month=100 --model gpt-*"),
    ("orgs budgets", "NEW_ORG --budget month=1000"),
    ("orgs suspend", "NEW_ORG"),
    ("orgs resume", "NEW_ORG"),
    ("orgs archive", "NEW_ORG --yes"),
    ("operators list", ""),
    ("operators link", "PERSON"),
    ("operators role", "PERSON finance"),
    ("operators sign-out", "PERSON"),
    ("operators remove", "PERSON --yes"),
    ("calls show", "CALL"),
    ("calls correct", "CALL --charged 0 --reason invoice --yes"),
    ("spend", "--by key"),
    ("prices list", ""),
    ("ledger status", ""),
    ("ledger backup", "NEW_DIR"),
    ("ledger verify", "--serving"),
];

/// Commands that do not speak to a server, or not to it alone, with the tests that run them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("serve", "all that start a gateway"),
    ("simulate-provider", "cli::local::the_simulated_provider_says_where_it_listens"),
    ("ledger restore", "cli::ledger"),
    ("ledger rebuild", "cli::ledger"),
    ("ledger accept-end", "cli::ledger::refusals"),
    ("completions", "cli::local::a_shell_learns_every_command"),
    ("doctor", "cli::doctor"),
    ("init", "cli::init"),
    ("reload", "cli::reload"),
    ("ledger copy", "server_store::moving"),
    ("secrets create", "server_store::starting"),
    ("webhooks list", "webhooks::a_webhook_is_listed_and_tried"),
    ("webhooks test", "webhooks::a_webhook_is_listed_and_tried"),
];

/// Commands that change secrets on the server's own disk and wait until the server has taken them up, each on a
/// gateway of its own. `PEPPER` stands for one that a key needs and that is not the current one.
const SECRETS: &[(&str, &str)] = &[
    ("secrets status", ""),
    ("secrets add-pepper", ""),
    ("secrets retire-pepper", "PEPPER --force --yes"),
    ("secrets rotate-master-key", ""),
    ("secrets master-key-leaked", "--since 1h --yes"),
];

/// The words of every command at the end of a branch.
fn leaves(command: &clap::Command, above: &str) -> Vec<String> {
    let below = command.get_subcommands().filter(|command| command.get_name() != "help");
    let name = |command: &clap::Command| format!("{above} {}", command.get_name()).trim().to_owned();
    let leaves: Vec<_> = below.flat_map(|command| leaves(command, &name(command))).collect();
    if leaves.is_empty() { vec![above.to_owned()] } else { leaves }
}

#[test]
fn no_command_is_without_an_entry_and_no_entry_without_its_command() {
    let tree: BTreeSet<_> = leaves(&Cli::command(), "").into_iter().collect();
    let entries = REMOTE.iter().chain(SECRETS).chain(ELSEWHERE);
    let entries: BTreeSet<_> = entries.map(|(words, _)| (*words).to_owned()).collect();
    assert_eq!(tree, entries);
}

/// A gateway on which every entry has something to do.
struct World {
    nemo: Nemo,
}

impl World {
    async fn new() -> World {
        World { nemo: Nemo::start().await }
    }

    /// A new key with a call that is in the lists.
    async fn used_key(&self) -> (Key, String) {
        let key = self.nemo.rich_key().await;
        key.chat(json!({})).await.ok();
        let call = key.only_call().await.id.clone();
        let head = self.nemo.ask("/api/ledger").await["position"].clone();
        self.nemo.ask(&format!("/api/keys?min_position={head}")).await;
        (key, call)
    }

    /// Somebody who can be removed.
    async fn new_person(&self) -> String {
        let name = format!("person-{}", self.nemo.rich_key().await.public_id());
        self.nemo.person(&name, "auditor").await;
        name
    }

    /// The whole line of an entry.
    async fn line(&self, words: &str, args: &str) -> Vec<String> {
        let (key, call) = self.used_key().await;
        let new_org = if args.contains("NEW_ORG") { self.nemo.new_org("other").await } else { String::new() };
        let person = if words.starts_with("operators") { self.new_person().await } else { String::new() };
        if args.contains("ROTATED") {
            key.tell("rotate", json!({"overlap_secs": 3600})).await;
        }
        let stands_for = |word: &str| match word {
            "KEY" | "ROTATED" => key.id().to_owned(),
            "PERSON" => person.clone(),
            "CALL" => call.clone(),
            "NEW_ORG" => new_org.clone(),
            "ORG" => "acme".to_owned(),
            "NEW_DIR" => format!("backup-of-{}", key.public_id()),
            word => word.to_owned(),
        };
        words.split_whitespace().map(str::to_owned).chain(args.split_whitespace().map(stands_for)).collect()
    }
}

/// What holds for whatever a command prints off a terminal.
fn must_be_plain(line: &[String], ran: &Ran, nemo: &Nemo) {
    assert_eq!(ran.code, 0, "{line:?} {ran:?}");
    assert!(!ran.stdout.is_empty() && ran.stdout.ends_with('\n'), "{line:?} {ran:?}");
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains('\x1b') && !text.contains('\r'), "{line:?} {ran:?}");
        assert!(!text.contains(nemo.master_key()), "{line:?}");
    }
    assert!(!ran.stderr.contains("sk-nemo-1"), "{line:?} {}", ran.stderr);
    let hands_out = matches!(line[1].as_str(), "create" | "rotate") && line[0] == "keys";
    assert_eq!(ran.stdout.contains("sk-nemo-1"), hands_out, "{line:?} {}", ran.stdout);
}

fn must_have_form(format: &str, line: &[String], stdout: &str) {
    match format {
        "json" => {
            drop(serde_json::from_str::<serde_json::Value>(stdout).unwrap_or_else(|e| panic!("{line:?} {e}")))
        }
        "jsonl" => {
            for each in stdout.lines() {
                let read = serde_json::from_str::<serde_json::Value>(each);
                assert!(read.is_ok_and(|value| value.is_object()), "{line:?} {each}");
            }
        }
        "csv" => {
            let mut reader = csv::Reader::from_reader(stdout.as_bytes());
            let columns = reader.headers().unwrap().len();
            let rows: Vec<_> =
                reader.records().map(|row| row.expect("a row as long as its header")).collect();
            assert!(columns > 1 && !rows.is_empty(), "{line:?} {stdout}");
        }
        // For people; what is in it the other tests say.
        _ => assert!(serde_json::from_str::<serde_json::Value>(stdout).is_err(), "{line:?} {stdout}"),
    }
}

#[tokio::test]
async fn every_command_prints_its_data_in_every_format_off_a_terminal() {
    let world = World::new().await;
    for (words, args) in REMOTE {
        for format in FORMATS {
            let mut line = world.line(words, args).await;
            line.extend(["--output".to_owned(), format.to_owned()]);
            let ran = run(&world.nemo, &line.iter().map(String::as_str).collect::<Vec<_>>()).await;
            must_be_plain(&line, &ran, &world.nemo);
            must_have_form(format, &line, &ran.stdout);
        }
    }
}

#[tokio::test]
async fn every_command_without_a_server_is_unreachable_and_prints_no_data() {
    let world = World::new().await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (words, args) in REMOTE {
        let line = world.line(words, args).await;
        let mut command = world.nemo.cli();
        command.env("NEMO_SERVER", format!("http://{nobody}")).args(&line);
        let ran = ran(command).await;
        assert!(ran.failed(6).contains("--server"), "{line:?} {ran:?}");
    }
}

#[tokio::test]
async fn every_command_with_another_master_key_is_not_allowed_and_without_one_not_understood() {
    let world = World::new().await;
    let other = Nemo::start().await;
    for (words, args) in REMOTE {
        let line = world.line(words, args).await;
        let mut command = world.nemo.cli();
        command.env("NEMO_MASTER_KEY_FILE", other.master_key_file()).args(&line);
        let refused = ran(command).await;
        assert!(refused.failed(4).contains("--master-key-file"), "{line:?} {refused:?}");
        let mut command = world.nemo.cli();
        command.env("NEMO_MASTER_KEY_FILE", world.nemo.home().join("nowhere")).args(&line);
        assert!(ran(command).await.failed(2).contains("nowhere"), "{line:?}");
    }
}

#[tokio::test]
async fn whatever_is_not_there_is_not_found_and_an_unknown_option_is_a_usage_error() {
    let world = World::new().await;
    for (words, args) in REMOTE {
        let mut line: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        let stranger = |word: &str| match word {
            "KEY" | "ROTATED" => "key_0123456789A".to_owned(),
            "CALL" | "ORG" | "NEW_ORG" | "PERSON" => "0197b5a0-0000-7000-8000-000000000009".to_owned(),
            word => word.to_owned(),
        };
        line.extend(args.split_whitespace().map(stranger));
        let names_something = args.split_whitespace().any(|word| stranger(word) != word);
        let of = |line: &[String]| {
            let mut command = world.nemo.cli();
            command.args(line);
            command
        };
        if names_something {
            let ran = ran(of(&line)).await;
            assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{line:?} {ran:?}");
        }
        line.push("--no-such-option".to_owned());
        let ran = ran(of(&line)).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{line:?} {ran:?}");
    }
}

/// A command on the secrets of this gateway, with a key that needs the first pepper.
async fn on_secrets(nemo: &Nemo, words: &str, args: &str) -> (Vec<String>, Command) {
    nemo.rich_key().await;
    let of_gateway = || {
        let mut command = nemo.cli();
        command.env("NEMO_SECRETS_DIR", nemo.data().join("secrets"));
        command
    };
    let mut line: Vec<_> =
        words.split_whitespace().chain(args.split_whitespace()).map(str::to_owned).collect();
    if let Some(pepper) = line.iter_mut().find(|word| *word == "PEPPER") {
        let secrets = nemo.ask("/api/secrets").await["secrets"].clone();
        let first = secrets.as_array().unwrap().iter().find(|row| row["kind"] == "pepper").unwrap();
        first["id"].as_str().unwrap().clone_into(pepper);
        let mut add = of_gateway();
        add.args(["secrets", "add-pepper"]);
        ran(add).await.ok();
    }
    let mut command = of_gateway();
    command.args(&line);
    (line, command)
}

#[tokio::test]
async fn every_command_on_secrets_prints_its_data_in_every_format_off_a_terminal() {
    for (words, args) in SECRETS {
        for format in FORMATS {
            let nemo = Nemo::start().await;
            let (line, mut command) = on_secrets(&nemo, words, args).await;
            command.args(["--output", format]);
            let ran = ran(command).await;
            must_be_plain(&line, &ran, &nemo);
            must_have_form(format, &line, &ran.stdout);
            let new = std::fs::read_to_string(nemo.master_key_file()).unwrap();
            assert!(!ran.stdout.contains(new.trim()) && !ran.stderr.contains(new.trim()), "{line:?}");
        }
    }
}

#[tokio::test]
async fn every_command_on_secrets_fails_as_every_command_does() {
    let nemo = Nemo::start().await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (words, args) in SECRETS {
        let (line, mut command) = on_secrets(&nemo, words, args).await;
        command.arg("--no-such-option");
        let wrong = ran(command).await;
        assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""), "{line:?} {wrong:?}");
        if *words != "secrets status" {
            let (_, mut command) = on_secrets(&nemo, words, args).await;
            command.env("NEMO_SECRETS_DIR", nemo.home().join("nowhere"));
            let nowhere = ran(command).await;
            assert!(nowhere.code == 3 && nowhere.stderr.contains("--secrets-dir"), "{line:?} {nowhere:?}");
        }
    }
    // Only a rotation goes on without a server. What comes last here refuses the master key of this test.
    for (words, args) in SECRETS {
        let (line, mut command) = on_secrets(&nemo, words, args).await;
        command.env("NEMO_SERVER", format!("http://{nobody}"));
        let alone = ran(command).await;
        if *words == "secrets rotate-master-key" {
            assert!(alone.code == 0 && alone.stderr.contains("when it starts"), "{alone:?}");
        } else {
            let told = alone.stderr.contains(&nobody.to_string());
            assert!(alone.code == 6 && alone.stdout.is_empty() && told, "{line:?} {alone:?}");
        }
    }
}
