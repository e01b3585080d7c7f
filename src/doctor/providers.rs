//! Providers: their keys at hand, reachable, the keys accepted, their models priced. They are asked for their list
//! of models, which costs nothing, all at once and within seconds.

use std::time::{Duration, Instant, SystemTime};

use nemo_events::Timestamp;
use nemo_projections::refusal::PriceRefusal;
use reqwest::StatusCode;
use reqwest::header::DATE;
use tokio::task::JoinSet;

use super::clock;
use super::configuration::chain;
use super::finding::Findings;
use crate::catalogue::Catalogue;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ProviderEntry};
use crate::providers::{Provider, Providers};

/// How long a provider may take for its list of models.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn look(config: &Config, catalogue: &Catalogue, online: bool, findings: &mut Findings) {
    if config.providers.is_empty() {
        findings.fail(
            "providers",
            "there is none, so no call can be made",
            "Set [[providers]], or a well-known key.",
        );
    }
    let mut asked = JoinSet::new();
    for (place, entry) in config.providers.iter().enumerate() {
        let alone = Config { providers: vec![entry.clone()], ..config.clone() };
        match Providers::new(&alone, catalogue, None) {
            Err(error) => {
                let next = "Set the variable or write the file that the configuration names for its key.";
                findings.fail(&name(entry), chain(&error), next);
            }
            Ok(providers) => {
                look_at_prices(entry, &providers, SystemClock.now(), findings);
                if online && let Some(provider) = providers.get(&entry.name).cloned() {
                    asked.spawn(async move { (place, ask(&provider).await) });
                }
            }
        }
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    for (place, answer) in answers {
        if let Some(entry) = config.providers.get(place) {
            judge(&name(entry), answer, findings);
        }
    }
}

fn name(entry: &ProviderEntry) -> String {
    format!("provider {}", entry.name)
}

fn look_at_prices(entry: &ProviderEntry, providers: &Providers, now: Timestamp, findings: &mut Findings) {
    let check = name(entry);
    let priced = providers.models(&|_| true, now).len();
    if priced == 0 {
        let next = "Add [[prices]] for its models, or name the catalogue whose prices hold with `catalogue`.";
        findings.fail(&check, "none of its models has a price, so none can be called", next);
    } else {
        findings.ok(&check, format!("{priced} models have a price"));
    }
    let named = entry
        .models
        .iter()
        .filter_map(|pattern| pattern.exact())
        .chain(entry.rename.keys().map(String::as_str));
    for model in named {
        if let Err(refusal) = providers.route(model, now) {
            let why = match refusal {
                PriceRefusal::ModelNotFound => "is not served",
                PriceRefusal::ModelNotPriced | PriceRefusal::NotPriceable(_) => {
                    "has no price, context window or output limit"
                }
            };
            let next = "Calls of it are refused: add [[prices]] for it, or take it out.";
            findings.warn(&check, format!("{model} {why}"), next);
        }
    }
}

/// What came of asking a provider.
struct Answer {
    status: Result<StatusCode, String>,
    took: Duration,
    /// Its clock, to the second.
    date: Option<SystemTime>,
}

async fn ask(provider: &Provider) -> Answer {
    let mut request = provider.http.get(format!("{}/models", provider.base_url)).timeout(PATIENCE);
    if let Some(key) = &provider.key {
        request = request.bearer_auth(key.expose_secret());
    }
    let started = Instant::now();
    match request.send().await {
        Ok(answer) => {
            let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
            let date =
                date.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok()).map(SystemTime::from);
            Answer { status: Ok(answer.status()), took: started.elapsed(), date }
        }
        Err(error) => {
            let why = if error.is_timeout() {
                format!("no answer within {} s", PATIENCE.as_secs())
            } else {
                chain(&error.without_url())
            };
            Answer { status: Err(why), took: started.elapsed(), date: None }
        }
    }
}

fn judge(check: &str, answer: Answer, findings: &mut Findings) {
    let Answer { status, took, date } = answer;
    match status {
        Err(why) => {
            findings.fail(
                check,
                format!("it cannot be reached: {why}"),
                "Check `base_url`, the network and the firewall.",
            );
        }
        Ok(status) => judge_status(check, status, took, findings),
    }
    if let Some(apart) = date.and_then(apart) {
        let found = format!("this machine's clock is {} s off that of {check}", apart.as_secs());
        findings.warn(clock::CHECK, found, "Let NTP keep the clock: budgets and days follow it.");
    }
}

fn judge_status(check: &str, status: StatusCode, took: Duration, findings: &mut Findings) {
    let code = status.as_u16();
    match code {
        200..=299 => findings.ok(check, format!("it accepts the key and answers in {} ms", took.as_millis())),
        401 | 403 => {
            let found = format!("it refuses the key ({code})");
            findings.fail(check, found, "Put a key that is valid where the configuration says that it is.");
        }
        404 | 405 => {
            let found = format!("it answers, but has no list of models ({code}), so the key was not tried");
            findings.warn(
                check,
                found,
                "Check that `base_url` includes /v1, then make a call to try the key.",
            );
        }
        _ => {
            let found = format!("it answers {code}, so the key was not tried");
            findings.warn(check, found, "Try again later; its status page may say more.");
        }
    }
}

/// How far a clock that shows seconds is from ours, if it matters.
fn apart(theirs: SystemTime) -> Option<Duration> {
    let ours = SystemTime::now();
    let apart = theirs.duration_since(ours).or_else(|_| ours.duration_since(theirs)).ok()?;
    (apart > clock::APART_MOST + Duration::from_secs(1)).then_some(apart)
}
