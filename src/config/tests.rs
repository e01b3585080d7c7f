#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

mod providers;

use std::collections::HashSet;
use std::error::Error;
use std::path::PathBuf;

use nemo_events::Rate;
use nemo_projections::notice::NoticeKind;

use super::*;
use crate::providers::openai::{Flavour, OutputLimitField, ServiceTier};

/// Every key that there is.
const EVERYTHING: &str = r#"
[server]
listen = "0.0.0.0:80"
management_listen = "127.0.0.1:4142"
tls_cert_file = "/etc/nemo/cert.pem"
tls_key_file = "/etc/nemo/key.pem"
data_dir = "/var/lib/nemo"
secrets_dir = "/etc/nemo/secrets"
node = "berlin-1"
workers = 3
trusted_proxies = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]
record_clients = "truncated"
drain_secs = 0
session_idle_secs = 600
session_max_secs = 3600
body_max_bytes = 1_048_576
log_format = "json"
accounts_max_bytes = 0x100_0000

[store]
url = "esdb+discover://db.internal:2113"
ca_file = "/etc/nemo/db-ca.pem"
user = "nemo"
password_file = "/run/secrets/db"
stream_prefix = "nemo-"
timeout_secs = 3
scan_timeout_secs = 30
sessions = 4
max_append_bytes = 500_000

[calls]
deadline_secs = 60
held_wait_secs = 2
unknown_ends_at_most = 3
attempts_at_most = 4
retries_at_most = 1
retry_wait_secs = 7
rest_at_most_secs = 9
connect_timeout_secs = 1
first_byte_timeout_secs = 2
idle_timeout_secs = 3
inert_fields = ["top_a", "messages[].images"]

[telemetry]
otlp_endpoint = "https://collector.internal/v1/traces"
service_name = "nemo-berlin"
sample_percent = 5
send_traceparent = true

[[providers]]
name = "openai"
api_key_file = "/run/secrets/openai"

[[providers]]
name = "local"
base_url = "http://gpu.internal:8000/v1/"
allow_http = true
no_api_key = true
catalogue = "ours"
models = ["llama-*", "qwen3"]
output_limit_field = "max_completion_tokens"
sends_service_tier = true
connect_timeout_secs = 11
first_byte_timeout_secs = 12
idle_timeout_secs = 13
[providers.rename]
fast = "llama-3.1-8b"

[[providers]]
name = "groq"
api_key_env = "GROQ_KEY_2"

[[prices]]
provider = "ours"
model = "llama-3.1-8b"
input = "0.05"
output = 1
cache_read = "0.01"
cache_write = "0.06"
cache_write_1h = "0.1"
input_audio = "0.2"
cache_read_audio = "0.3"
input_image = "0.4"
output_audio = "0.5"
output_image = "0.6"
web_searches = "10000"
file_searches = "2500"
requests = "100"
context_window = 131072
max_output_tokens = 8192
reasoning = true
[[prices.tiers]]
above_input_tokens = 32768
input = "0.1"
output = "2"
cache_read = "0.02"
cache_write = "0.12"
cache_write_1h = "0.2"
input_audio = "0.4"
cache_read_audio = "0.6"
input_image = "0.8"
output_audio = "1"
output_image = "1.2"
web_searches = "10000"
file_searches = "2500"
requests = "100"

[[webhooks]]
name = "ops"
url = "http://ops.internal:8080/hooks/nemo"
allow_http = true
secret_file = "/run/secrets/ops"
events = ["key.leaked", "budget.threshold_reached", "key.leaked"]
timeout_secs = 3
node = "berlin-1"

[[webhooks]]
name = "chat"
url = "https://chat.example/T0/B0"
secret_env = "NEMO_CHAT_SECRET"
"#;

fn read_with(text: &str, vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_toml(text, Path::new("nemo.toml"), &Environment::from_vars(vars.iter().copied()))
}

fn read(text: &str) -> Result<Config, ConfigError> {
    read_with(text, &[])
}

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let Config { server, store, calls, telemetry, providers, prices, webhooks, notices } =
        Config::load(None, &Environment::default()).unwrap();
    assert_eq!(server.listen.to_string(), "127.0.0.1:4141");
    assert_eq!((server.management_listen, server.node.as_str()), (None, "node-1"));
    assert_eq!(server.secrets_dir(), PathBuf::from("nemo-data/secrets"));
    assert!(server.worker_threads() > 0 && server.trusted_proxies.is_empty());
    assert_eq!((server.record_clients, server.log_format), (RecordClients::Full, LogFormat::Text));
    assert_eq!((server.drain_secs, server.body_max_bytes), (25, 32 * 1024 * 1024));
    assert_eq!(server.accounts_max_bytes, 64 * 1024 * 1024);
    assert_eq!((calls.deadline_secs, calls.connect_timeout_secs), (600, 10));
    assert_eq!((calls.first_byte_timeout_secs, calls.idle_timeout_secs), (120, 60));
    assert_eq!((calls.attempts_at_most, calls.retries_at_most, calls.retry_wait_secs), (3, 0, 2));
    assert_eq!(calls.rest_at_most_secs, 30);
    assert_eq!(store, StoreEntry::Embedded);
    assert!(calls.inert_fields.is_empty() && providers.is_empty());
    assert!(prices.is_empty() && webhooks.is_empty());
    assert_eq!((telemetry.otlp_endpoint, telemetry.send_traceparent), (None, false));
    assert_eq!((server.tls_cert_file, server.tls_key_file), (None, None));
    assert_eq!(notices, [Notice::NoProvider]);
}

#[test]
fn webhooks_that_could_not_be_told_apart_or_read_by_others_are_refused() {
    let hook = |lines: &str| format!("[[webhooks]]\nname = \"ops\"\nsecret_env = \"A\"\n{lines}\n");
    let far = "url = \"https://ops.example/x\"";
    assert!(refusal(&hook("url = \"http://ops.example/\"")).contains("must begin with https://"));
    assert!(read(&hook("url = \"http://[::1]:9/\"")).is_ok(), "this machine");
    for (lines, said) in [
        ("url = \"https://me:hunter2@ops.example/\"", "webhooks.url"),
        ("url = \"https://ops.example/\"\nsecret_file = \"x\"", "exactly one of secret_env and secret_file"),
        ("url = \"https://ops.example/\"\nevents = [\"key.made\"]", "key.created"),
        ("url = \"https://ops.example/\"\nevents = []", "must not be empty"),
    ] {
        let told = refusal(&hook(lines));
        assert!(told.contains(said) && !told.contains("hunter2"), "{told}");
    }
    assert!(refusal(&hook(far).repeat(2)).contains("name of another webhook"));
    assert!(refusal(&hook(far).replace("ops\"", "../ops\"")).contains("webhooks.name"));
    let many: String = (0..17).map(|n| hook(far).replace("\"ops\"", &format!("\"ops-{n}\""))).collect();
    assert!(refusal(&many).contains("at most 16 webhooks"));
}

#[test]
fn everything_can_be_stated() {
    let Config { server, store, calls, telemetry, providers, prices, webhooks, notices } =
        read(EVERYTHING).unwrap();
    assert!(matches!(store, StoreEntry::Server(_)));
    assert_eq!(server.listen.to_string(), "0.0.0.0:80");
    assert_eq!(server.secrets_dir(), PathBuf::from("/etc/nemo/secrets"));
    assert_eq!((server.worker_threads(), server.accounts_max_bytes), (3, 16 * 1024 * 1024));
    assert_eq!(server.trusted_proxies.get(1).unwrap().to_string(), "192.0.2.7/32");
    assert_eq!((server.record_clients, server.log_format), (RecordClients::Truncated, LogFormat::Json));
    assert_eq!(server.tls_key_file, Some("/etc/nemo/key.pem".into()));
    assert_eq!((calls.attempts_at_most, calls.retries_at_most, calls.retry_wait_secs), (4, 1, 7));
    assert_eq!(calls.rest_at_most_secs, 9);
    assert_eq!(calls.inert_fields, ["top_a", "messages[].images"]);
    assert_eq!(telemetry.otlp_endpoint.unwrap().as_str(), "https://collector.internal/v1/traces");
    assert_eq!((telemetry.service_name.as_str(), telemetry.sample_percent), ("nemo-berlin", 5));
    assert!(telemetry.send_traceparent);

    let [openai, local, groq] = providers.as_slice() else { unreachable!() };
    assert_eq!(openai.base_url, "https://api.openai.com/v1");
    assert_eq!(openai.key, KeySource::File("/run/secrets/openai".into()));
    assert_eq!(openai.flavour, Flavour::default());
    assert_eq!((openai.connect_timeout_secs, openai.idle_timeout_secs), (1, 3));
    assert_eq!(local.base_url, "http://gpu.internal:8000/v1");
    assert_eq!((&local.key, local.catalogue.as_str()), (&KeySource::None, "ours"));
    assert_eq!(local.flavour, Flavour::default());
    assert_eq!(local.rename.get("fast").unwrap(), "llama-3.1-8b");
    assert!(local.models.first().unwrap().matches("llama-x"));
    assert_eq!((local.connect_timeout_secs, local.first_byte_timeout_secs), (11, 12));
    assert_eq!(groq.key, KeySource::Variable("GROQ_KEY_2".into()));
    let spartan = Flavour { output_limit: OutputLimitField::MaxTokens, service_tier: ServiceTier::None };
    assert_eq!((groq.flavour, groq.catalogue.as_str()), (spartan, "groq"));

    let [ops, chat] = webhooks.as_slice() else { unreachable!() };
    assert_eq!((ops.origin().as_str(), ops.timeout_secs), ("http://ops.internal:8080", 3));
    assert_eq!(ops.events, [NoticeKind::BudgetThresholdReached, NoticeKind::KeyLeaked]);
    assert_eq!(
        (&ops.secret, ops.node.as_deref()),
        (&SecretSource::File("/run/secrets/ops".into()), Some("berlin-1"))
    );
    assert_eq!((chat.events.as_slice(), chat.timeout_secs), (NoticeKind::ALL.as_slice(), 10));
    assert_eq!(chat.secret, SecretSource::Variable("NEMO_CHAT_SECRET".to_owned()));

    let [price] = prices.as_slice() else { unreachable!() };
    let (rates, tiers) = price.prices.as_ref().unwrap();
    assert_eq!((rates.input, rates.output, rates.requests), (rate("0.05"), rate("1"), Some(rate("100"))));
    assert_eq!(tiers.first().unwrap().rates.cache_write_1h, Some(rate("0.2")));
    assert_eq!((price.context_window, price.max_output_tokens), (Some(131_072), Some(8192)));
    let line = EVERYTHING.lines().position(|line| line == "[[prices]]").unwrap() + 1;
    assert_eq!(price.place, Place::File { path: "nemo.toml".into(), line });
    assert!(notices.is_empty());
}

#[test]
fn every_key_is_in_the_reference_once_and_every_key_of_the_reference_can_be_stated() {
    let mut seen = HashSet::new();
    let page = reference_markdown();
    for KeyDoc { section, key, kind, default, meaning } in reference() {
        assert!(seen.insert((section, key)), "{section} {key}");
        let stated = EVERYTHING.lines().any(|line| line.starts_with(&format!("{key} = ")));
        // A table of its own, and the other one of two.
        let elsewhere = ["rename", "tiers", "password_env"].contains(&key);
        assert!(stated || elsewhere, "{section} {key}");
        assert!(!kind.is_empty() && meaning.ends_with('.'), "{section} {key}");
        let line = format!("| `{key}` | {kind} | {default} | {meaning} |");
        assert!(page.lines().any(|other| other == line) && !line.contains('\n'), "{line}");
    }
    for line in EVERYTHING.lines().filter_map(|line| line.split_once(" = ")) {
        assert!(seen.iter().any(|(_, key)| *key == line.0) || line.0 == "fast", "{}", line.0);
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one() {
    assert_eq!(
        refusal("[server]\nnode = \"a\"\nlisen = \"127.0.0.1:1\""),
        "nemo.toml:3: unknown key `server.lisen`: did you mean `listen`?"
    );
    assert_eq!(refusal("[srver]"), "nemo.toml:1: unknown key `srver`: did you mean `server`?");
    assert_eq!(
        refusal("\nlisten = \"127.0.0.1:1\""),
        "nemo.toml:2: unknown key `listen`: it belongs to [server]"
    );
    assert_eq!(
        refusal("[calls]\ndata_dir = \"x\""),
        "nemo.toml:2: unknown key `calls.data_dir`: it belongs to [server]"
    );
    assert_eq!(
        refusal("[[prices]]\nprovider = \"a\"\nmodel = \"b\"\n[[prices.tiers]]\nabove_input_token = 1"),
        "nemo.toml:5: unknown key `prices.tiers.above_input_token`: did you mean `above_input_tokens`?"
    );
    let far = refusal("[calls]\nzzzzzz = 1");
    assert!(far.contains("; there are deadline_secs, connect_timeout_secs"), "{far}");
}

#[test]
fn a_wrong_value_is_refused_with_its_place_and_what_it_must_be() {
    assert_eq!(
        refusal("[calls]\n# how long\ndeadline_secs = \"10\""),
        "nemo.toml:3: `calls.deadline_secs` must be a whole number from 1 to 86400"
    );
    for (text, told) in [
        ("[server]\nlisten = 4141", "`server.listen` must be an IP address and a port"),
        ("[server]\nlisten = \"localhost:80\"", "`server.listen` must be an IP address and a port"),
        ("[server]\nworkers = 0", "`server.workers` must be a whole number from 1 to 1024"),
        ("[server]\ndrain_secs = -1", "must be a whole number from 0 to 3600"),
        ("[server]\ndrain_secs = 99999999999999999999", "must be a whole number from 0 to 3600"),
        ("[server]\nnode = \"a b\"", "must be 1 to 64 letters, digits"),
        ("[server]\ndata_dir = \"\"", "must be a path"),
        ("[server]\nrecord_clients = \"some\"", "must be \"full\" or \"truncated\" or \"none\""),
        ("[server]\ntrusted_proxies = \"10.0.0.0/8\"", "must be a list"),
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/8\",\n\"x\"]",
            "nemo.toml:3: `server.trusted_proxies` must be a net",
        ),
        ("server = 1", "`server` must be written as [server]"),
        ("[providers]\nname = \"openai\"", "`providers` must be written as [[providers]]"),
        ("providers = [1]", "`providers` must be written as [[providers]]"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.starts_with("nemo.toml:") && refusal.contains(told), "{refusal}");
    }
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    for text in ["[server]\n\nlisten = ", "[server]\n\n[server]", "a = 1\nb = 2\na = 3"] {
        let refusal = refusal(text);
        assert!(refusal.starts_with("nemo.toml:3: not valid TOML: "), "{refusal}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let error = Config::load(Some(Path::new("/nowhere/nemo.toml")), &Environment::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration /nowhere/nemo.toml");
    assert!(error.source().is_some());
}

#[test]
fn a_variable_wins_over_the_file_and_the_default() {
    let vars = [
        ("NEMO_SERVER__LISTEN", "127.0.0.1:1"),
        ("NEMO_SERVER__WORKERS", "2"),
        ("NEMO_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
        ("NEMO_CALLS__INERT_FIELDS", ""),
    ];
    let text = "[server]\nlisten = \"127.0.0.1:2\"\n[calls]\ninert_fields = [\"a\"]";
    let Config { server, calls, .. } = read_with(text, &vars).unwrap();
    assert_eq!(server.listen.to_string(), "127.0.0.1:1");
    assert_eq!((server.workers, server.trusted_proxies.len()), (Some(2), 2));
    assert!(calls.inert_fields.is_empty());
}

#[test]
fn a_flag_wins_over_its_variable_and_is_checked_like_it() {
    let environment = |address: &str| {
        Environment::from_vars([("NEMO_SERVER__LISTEN", "127.0.0.1:1")]).with_flag(
            "--listen",
            "server",
            "listen",
            address.to_owned(),
        )
    };
    let config = Config::load(None, &environment("127.0.0.1:2")).unwrap();
    assert_eq!(config.server.listen.port(), 2);
    let open = Config::load(None, &environment("0.0.0.0:2")).unwrap_err();
    assert!(open.to_string().contains("`server.management_listen` is required"), "{open}");
    let wrong = Config::load(None, &environment("x")).unwrap_err().to_string();
    assert!(wrong.starts_with("--listen: `server.listen` must be"), "{wrong}");
}

#[test]
fn a_wrong_variable_is_refused_by_name() {
    let refusal = |name, value| read_with("", &[(name, value)]).unwrap_err().to_string();
    assert_eq!(
        refusal("NEMO_CALLS__DEADLINE_SECS", "ten"),
        "NEMO_CALLS__DEADLINE_SECS: `calls.deadline_secs` must be a whole number from 1 to 86400"
    );
    assert_eq!(
        refusal("NEMO_SERVER__LISEN", "x"),
        "unknown environment variable NEMO_SERVER__LISEN: did you mean `NEMO_SERVER__LISTEN`?"
    );
    assert!(refusal("NEMO_MASTER_KEY", "mk-nemo-1").contains("did you mean `NEMO_MASTER_KEY_FILE`?"));
    assert!(refusal("NEMO_PROVIDERS__NAME", "x").starts_with("unknown environment variable"));
}

#[test]
fn variables_of_the_rest_of_nemo_and_of_other_programs_are_left_alone() {
    let vars = [
        ("NEMO_CONFIG", "x"),
        ("NEMO_SERVER", "x"),
        ("NEMO_LOG", "x"),
        ("NEMO_MASTER_KEY_FILE", "x"),
        ("NEMO_CA_FILE", "x"),
        ("NEMO_API_KEY", "x"),
        ("NEMO_CRASH_AT", "x"),
        ("NEMO_MUTATION", "x"),
        ("NEMO_TEST_ANYTHING", "x"),
        ("PATH", "x"),
    ];
    assert!(read_with("", &vars).is_ok());
}

#[test]
fn an_address_that_others_can_reach_needs_a_management_address() {
    let refusal = refusal("[server]\nlisten = \"0.0.0.0:4141\"");
    assert!(refusal.contains("nemo.toml:1: `server.management_listen` is required"), "{refusal}");
    assert!(read("[server]\nlisten = \"[::1]:4141\"").is_ok());
    assert!(read("[server]\nlisten = \"192.0.2.1:1\"\nmanagement_listen = \"127.0.0.1:2\"").is_ok());
    assert!(read_with("", &[("NEMO_SERVER__LISTEN", "0.0.0.0:1")]).is_err());
    assert!(read("[server]\nlisten = \"127.0.0.1:0\"\nmanagement_listen = \"127.0.0.1:0\"").is_ok());
    assert!(read("[server]\nlisten = \"127.0.0.1:1\"\nmanagement_listen = \"127.0.0.1:1\"").is_err());
}

#[test]
fn no_error_repeats_a_value() {
    let key = "sk-canary-0123456789";
    for text in [
        format!("[[providers]]\nname = \"openai\"\napi_key = \"{key}\""),
        format!("[[providers]]\nname = \"openai\"\napi_key_env = \"{key}\""),
        format!("[[providers]]\nname = \"openai\"\napi_key_env = \"gsk_{}\"", key.replace('-', "_")),
        format!("[[providers]]\nname = \"x\"\nno_api_key = true\nbase_url = \"https://u:{key}@example.com\""),
        format!("[[providers]]\nname = \"{key}!\"\nno_api_key = true"),
        format!("[[providers]]\nname = \"openai\"\napi_key_env = \"{key}"),
        format!("[[providers]]\nname = \"openai\"\napi_key_env = {key}"),
        format!("[[prices]]\nprovider = \"a\"\nmodel = \"b\"\ninput = \"{key}\"\noutput = \"1\""),
        format!("[server]\nlisten = \"{key}\""),
    ] {
        let error = read(&text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error} {error:?}");
    }
    let vars = [("NEMO_SERVER__LISTEN", key), ("NEMO_MASTER_KEY", key), ("OPENAI_API_KEY", key)];
    let error = read_with("", &vars).unwrap_err();
    assert!(!format!("{error} {error:?} {:?}", Environment::from_vars(vars)).contains("canary"));
    assert!(!format!("{:?}", read_with("", &[("OPENAI_API_KEY", key)]).unwrap()).contains("canary"));
    assert!(
        refusal("[[providers]]\napi_key = \"x\"").contains("a key never stands in this file"),
        "says what to do instead"
    );
}
