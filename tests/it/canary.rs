//! Secrets and prompts do not persist (I7): canaries are planted in everything that a caller, a provider or
//! an operator hands in, and everything that Nemo wrote or answered is searched for them, as they are and in
//! the encodings that a careless program would leave them in.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use nemo_test_stores::on_each_store;
use reqwest::Method;
use serde_json::json;

use crate::fake_provider::Behaviour;
use crate::harness::{Answer, Setup};

/// Something that must not be found, in all its guises.
struct Canary {
    name: &'static str,
    guises: Vec<(&'static str, Vec<u8>)>,
}

impl Canary {
    fn new(name: &'static str, secret: &str) -> Canary {
        assert!(secret.len() >= 16, "a canary this short would be found by chance");
        let bytes = secret.as_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let percent: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
        let url: String = secret
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-_.~".contains(c) {
                    c.to_string()
                } else {
                    format!("%{:02X}", c as u32)
                }
            })
            .collect();
        let mut guises = vec![
            ("plain", bytes.to_vec()),
            ("hex", hex.clone().into_bytes()),
            ("upper-case hex", hex.to_uppercase().into_bytes()),
            ("percent-encoded", percent.into_bytes()),
            ("URL-encoded", url.into_bytes()),
        ];
        // Wherever the secret starts within a longer text: three alignments, without the digits at either
        // end that depend on its neighbours.
        for skip in 0..3 {
            let inner = &bytes[skip..];
            let inner = &inner[..inner.len() / 3 * 3];
            guises.push(("base64", STANDARD_NO_PAD.encode(inner).into_bytes()));
            guises.push(("URL-safe base64", URL_SAFE_NO_PAD.encode(inner).into_bytes()));
        }
        Canary { name, guises }
    }

    fn found_in(&self, place: &str, hay: &[u8]) -> Vec<String> {
        let hits = self.guises.iter().filter(|(_, needle)| contains(hay, needle));
        hits.map(|(guise, _)| format!("{} ({guise}) in {place}", self.name)).collect()
    }
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// All files below a folder but those where secrets are configured.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "secrets" {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
    found
}

/// Everything that a run left behind.
struct Remains(Vec<(String, Vec<u8>)>);

impl Remains {
    fn search(&self, canaries: &[Canary]) -> Vec<String> {
        let places = self.0.iter();
        places.flat_map(|(place, hay)| canaries.iter().flat_map(move |c| c.found_in(place, hay))).collect()
    }
}

fn remember(answers: &mut Vec<(String, Vec<u8>)>, what: &str, answer: &Answer) {
    let mut told = format!("{:?}\n", answer.headers).into_bytes();
    told.extend_from_slice(&answer.body);
    answers.push((format!("the answer to {what}"), told));
}

const PROMPT: &str = "the canary sings <of> prompts & secrets";
const PROVIDER_KEY: &str = "sk-provider-canary-9f8e7d6c5b4a39281706";

#[on_each_store(flavor = "multi_thread")]
async fn no_secret_and_no_prompt_is_left_anywhere() {
    // The most talkative log there is.
    let nemo = Setup::default().env("NEMO_LOG", "trace").start().await;
    fs::write(nemo.home().join("provider-key"), PROVIDER_KEY).unwrap();
    nemo.provider().accept_keys([PROVIDER_KEY.to_owned()]);
    nemo.terminate().await;
    nemo.restart().await;
    let mut remains = Vec::new();
    let key = nemo.rich_key().await;
    let (first_secret, prompt) = (key.secret(), json!({"messages": [{"role": "user", "content": PROMPT}]}));
    let mut answers = Vec::new();

    remember(&mut answers, "a call", &key.chat(prompt.clone()).await);
    let content = answers_content(&key.chat(prompt.clone()).await);
    let stream = key.stream(prompt.clone()).await.rest().await;
    assert!(stream.is_done());
    for behaviour in [
        Behaviour::error_leaking_the_key(400),
        Behaviour::error_leaking_the_key(401),
        Behaviour::error_leaking_the_key(500),
        Behaviour::malformed_json(),
        Behaviour::error(429),
    ] {
        nemo.provider().script_next([behaviour]);
        remember(&mut answers, "a call that the provider refused", &key.chat(prompt.clone()).await);
    }
    remember(&mut answers, "bad JSON", &key.post(format!("{{\"model\":\"gpt-test\",\"x\":\"{PROMPT}")).await);
    remember(&mut answers, "a wrong type", &key.chat(json!({"max_tokens": PROMPT})).await);
    let almost = key.with_secret(&first_secret[..first_secret.len() - 1]);
    remember(&mut answers, "almost a key", &almost.chat(prompt.clone()).await);
    remember(&mut answers, "a key in the URL", &key.get(&format!("/v1/models?api_key={first_secret}")).await);
    remember(&mut answers, "a key in a path", &key.get(&format!("/v1/{first_secret}")).await);
    remember(&mut answers, "the master key", &key.with_secret(nemo.master_key()).chat(prompt.clone()).await);
    let with_key = Answer::of(nemo.http().get(nemo.url("/api/keys")).bearer_auth(&first_secret)).await;
    remember(&mut answers, "a virtual key on a management route", &with_key);
    let second_secret = key.rotate(json!({"overlap_secs": 0})).await;
    remember(&mut answers, "a rotated secret", &key.with_secret(&first_secret).chat(prompt.clone()).await);
    for path in
        ["/api/keys", "/api/ledger", "/api/orgs", &key.path(""), &key.path("/events"), &key.path("/calls")]
    {
        remember(&mut answers, path, &nemo.manage(Method::GET, path, serde_json::Value::Null).await);
    }
    key.tell("revoke", json!({})).await;
    remember(&mut answers, "a revoked key", &key.with_secret(&second_secret).chat(prompt).await);

    // As the kernel has it while the process lives, and as it is after a stop.
    remains.extend(files(&nemo.data()));
    remains.push(("stdout".to_owned(), nemo.stdout().text().into_bytes()));
    let log = nemo.stderr();
    nemo.terminate().await;
    remains.push(("stderr".to_owned(), log.text().into_bytes()));
    remains.extend(files(&nemo.data()));
    remains.push(("the server's log".to_owned(), nemo.server_log()));
    remains.extend(answers);
    let peppers = fs::read_to_string(nemo.data().join("secrets/peppers.toml")).unwrap();
    let pepper = peppers.split('"').find(|word| word.len() == 64).expect("a pepper in hex").to_owned();
    let canaries = [
        Canary::new("the key", &first_secret),
        Canary::new("the key's secret part", &first_secret[20..56]),
        Canary::new("the rotated key", &second_secret),
        Canary::new("the master key", nemo.master_key()),
        Canary::new("the pepper", &pepper),
        Canary::new("the provider's key", PROVIDER_KEY),
        Canary::new("the prompt", PROMPT),
    ];
    let remains = Remains(remains);
    assert!(remains.0.len() > 20, "the search looks at what there is");
    // The answer's text goes to the caller, and nowhere else.
    let answer = Canary::new("the answer", &content);
    let told: Vec<_> = remains.search(std::slice::from_ref(&answer));
    assert!(told.iter().all(|hit| hit.contains("in the answer to a call")), "{told:#?}");
    assert_eq!(remains.search(&canaries), Vec::<String>::new());
}

fn answers_content(answer: &Answer) -> String {
    answer.ok()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn a_planted_leak_is_found_in_every_guise() {
    let secret = "sk-nemo-1canary0000PLANTED";
    let folder = tempfile::tempdir().unwrap();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let planted = [
        ("plain", format!("…{secret}…")),
        ("hex", hex),
        ("base64", STANDARD_NO_PAD.encode(format!("Bearer {secret} and more"))),
        ("URL-safe base64", URL_SAFE_NO_PAD.encode(format!("x{secret}y"))),
        ("percent", secret.bytes().map(|byte| format!("%{byte:02X}")).collect()),
    ];
    for (name, text) in planted {
        fs::create_dir_all(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/file"), &text).unwrap();
        let found = Remains(files(folder.path())).search(&[Canary::new("canary", secret)]);
        assert!(!found.is_empty(), "{name}: {text}");
    }
}

/// Whatever a panic says, the log does not repeat it, the caller gets an error, and the node lives on.
#[cfg(feature = "failpoints")]
#[on_each_store(flavor = "multi_thread")]
async fn a_panic_tells_nothing_and_harms_nobody_else() {
    let nemo = Setup::default().env("NEMO_MUTATION", "panic-with-the-model").start().await;
    let key = nemo.rich_key().await;
    let answer = key.chat(json!({"model": "gpt-canary-in-a-panic-0123456789"})).await;
    answer.refused(500, "internal_error");
    assert!(answer.header("x-request-id").is_some());
    nemo.stderr().until("panic").await;
    let canary = Canary::new("the panic's text", "gpt-canary-in-a-panic-0123456789");
    assert_eq!(canary.found_in("the log", nemo.stderr().text().as_bytes()), Vec::<String>::new());
    key.get("/v1/key").await.ok();
    assert_eq!(key.chat(json!({})).await.status, 200, "only the request that panicked failed");
}
