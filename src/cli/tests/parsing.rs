use clap::{CommandFactory, Parser};

use super::{KEY, SECRET};
use crate::cli::Cli;
use crate::cli::output::Output;
use crate::cli::{Command, RemoteCommand};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["nemo"].into_iter().chain(line.split_whitespace()))
}

#[test]
fn the_tree_of_commands_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn good_command_lines_are_understood() {
    let good = [
        "serve",
        "serve --config nemo.toml --listen 127.0.0.1:4141 --data-dir d",
        "serve --demo --quiet --listen 127.0.0.1:0 --data-dir d",
        "simulate-provider --listen 127.0.0.1:4142",
        "ledger verify",
        "ledger verify --data-dir d",
        "keys create --org Acme --name n",
        "keys create --org Acme --name n --app a --job j --env e --cost-centre c --tag x --tag y --unlimited",
        "keys create --org Acme --name n --budget day=5.00 --budget month=50 --alert-at day=80 --secret-file f",
        "keys list",
        "keys list --org Acme --status revoked --search n --app a --job j --env e --cost-centre c --tag t --limit 5 --min-position 7",
        "keys show 0123456789A",
        "keys show key_0123456789A",
        "keys relabel key_0123456789A --name n --remove tags",
        "keys limits key_0123456789A --rpm 5 --remove tpm --remove budget-day",
        "keys block key_0123456789A --reason odd",
        "keys unblock key_0123456789A",
        "keys rotate key_0123456789A --overlap 0",
        "keys rotate key_0123456789A --overlap 15m --secret-file f",
        "keys rotate key_0123456789A --leaked -y",
        "keys retire-secret key_0123456789A --version 1",
        "keys clear-model key_0123456789A --provider openai --provider-model o9",
        "keys revoke key_0123456789A --reason gone --yes",
        "keys calls key_0123456789A --limit 5",
        "keys timeline key_0123456789A --from @12",
        "keys timeline key_0123456789A --from 12 --limit 5",
        "keys timeline key_0123456789A -f --output jsonl",
        "calls show 0197b5a0-0000-7000-8000-000000000002",
        "calls correct 0197b5a0-0000-7000-8000-000000000002 --charged 0.5 --reason r -y",
        "calls correct --file - --evidence r",
        "spend",
        "spend --by cost-centre --every quarter-hour --from 2026-11-01 --to 2026-12-01T00:00:00Z --of 0123456789A",
        "prices list --provider openai --model gpt --limit 5",
        "completions zsh",
        "doctor --config nemo.toml --data-dir d --offline --output csv",
        "init --yes --config f --listen 127.0.0.1:1 --data-dir d --provider openai --provider groq --secrets",
        "orgs create Acme",
        "orgs list --search a --status archived --limit 1",
        "orgs show Acme",
        "orgs rename Acme Umbrella",
        "orgs suspend Acme --reason r",
        "orgs resume Acme",
        "orgs archive Acme --reason r --yes",
        "keys --server https://nemo.example --output csv list",
        "keys list --server https://nemo.example --master-key-file f --output jsonl",
    ];
    for line in good {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn bad_command_lines_are_usage_errors() {
    let bad = [
        "frobnicate",
        "keys",
        "keys create --name n",
        "keys create --org Acme",
        "keys create --org Acme --name n --budget 5",
        "keys create --org Acme --name n --budget hour=5",
        "keys create --org Acme --name n --budget day=5 --unlimited",
        "keys create --org Acme --name n --endpoint chat",
        "keys create --org Acme --name n --address nowhere",
        "keys create --org Acme --name n --expires tomorrow",
        "keys create --org Acme --name n --when-short maybe",
        "keys create --org Acme --name n --rpm 0",
        "keys list --limit 0",
        "keys list --status gone",
        "keys list --output yaml",
        "keys list --server nemo.example",
        "keys show",
        "keys show key_012",
        "keys rotate key_0123456789A --leaked --overlap 1h",
        "keys rotate key_0123456789A --overlap soon",
        "keys retire-secret key_0123456789A",
        "keys timeline key_0123456789A --from first",
        "calls show key_0123456789A",
        "calls correct --charged 0 --reason r",
        "calls correct 0197b5a0-0000-7000-8000-000000000002 --charged 0",
        "calls correct 0197b5a0-0000-7000-8000-000000000002 --charged -1 --reason r",
        "calls correct 0197b5a0-0000-7000-8000-000000000002 --charged 0 --reason r --file f",
        "spend --by mood",
        "spend --from yesterday",
        "prices",
        "completions",
        "init --provider acme",
        "orgs create",
        "orgs rename Acme",
        "orgs resume Acme --reason r",
        "serve --listen here",
        "serve --demo --config nemo.toml",
        "serve --quiet",
        "serve --server http://127.0.0.1:4141",
        "simulate-provider",
        "ledger",
    ];
    for line in bad {
        assert_eq!(parse(line).map_err(|error| error.exit_code()).err(), Some(2), "{line}");
    }
}

#[test]
fn the_server_is_on_this_machine_unless_told_otherwise() {
    let Command::Remote(RemoteCommand::Keys(args)) = parse("keys list").unwrap().command else {
        unreachable!()
    };
    assert_eq!(args.remote.output, Output::Table);
    if std::env::var_os("NEMO_SERVER").is_none() {
        assert_eq!(args.remote.server.to_string(), "http://127.0.0.1:4141");
    }
    if std::env::var_os("NEMO_MASTER_KEY_FILE").is_none() {
        assert_eq!(args.remote.master_key_file.to_str(), Some("nemo-data/secrets/master-key"));
    }
}

#[test]
fn no_option_takes_a_secret() {
    fn options(command: &clap::Command) -> Vec<String> {
        let with_values = command.get_arguments().filter(|arg| arg.get_action().takes_values());
        let own = with_values.filter_map(|arg| arg.get_long()).map(str::to_owned);
        own.chain(command.get_subcommands().flat_map(options)).collect()
    }
    let mut suspicious = options(&Cli::command());
    suspicious.retain(|name| name.contains("key") || name.contains("secret") || name.contains("token"));
    let places = ["-file", "-dir", "-output-tokens"];
    suspicious.retain(|name| !places.iter().any(|end| name.ends_with(end)));
    // It takes the directory that the new keys go to.
    suspicious.retain(|name| name != "rotate-keys");
    assert_eq!(suspicious, Vec::<String>::new());
}

#[test]
fn the_help_of_every_command_is_there_and_shows_no_value_of_the_environment() {
    fn helped(mut command: clap::Command) {
        let help = command.render_long_help().to_string();
        assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
        assert!(!help.contains("NEMO_SERVER=") && !help.contains("NEMO_MASTER_KEY_FILE="), "{help}");
        assert!(!help.contains("sk-nemo-1") && !help.contains("mk-nemo-1"), "{help}");
        command.get_subcommands().cloned().for_each(helped);
    }
    let mut tree = Cli::command();
    tree.build();
    helped(tree);
}

#[test]
fn a_full_key_in_an_ids_place_is_refused_without_repeating_it() {
    let error = crate::cli::values::key_id(SECRET).unwrap_err().to_string();
    assert!(error.contains("full key") && !error.contains("0123456789A"), "{error}");
    assert!(parse(&format!("keys show {SECRET}")).is_err());
    assert!(parse(&format!("keys show {KEY}")).is_ok());
}
