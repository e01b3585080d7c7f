#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::path::Path;
use std::time::{Duration, Instant};

use nemo_events::{Rate, Usage};
use nemo_projections::price::cost;

use super::*;
use crate::config::{Config, Environment};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-22T12:00:00Z")
}

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn with(prices: &str) -> Result<Catalogue, CatalogueError> {
    let config = Config::from_toml(prices, Path::new("nemo.toml"), &Environment::default()).unwrap();
    Catalogue::with(&config.prices)
}

fn from_json(models: &str) -> Result<Catalogue, CatalogueError> {
    embedded::read_from(
        format!(r#"{{"sources":[{{"name":"test","version":"1"}}],"models":[{models}]}}"#).as_bytes(),
    )
}

fn card_of(catalogue: &Catalogue, provider: &str, model: &str) -> Card {
    catalogue.card(provider, model, now()).unwrap().unwrap()
}

#[test]
fn the_embedded_catalogue_is_whole_and_quick_to_read() {
    let started = Instant::now();
    let catalogue = Catalogue::embedded().unwrap();
    let took = started.elapsed();
    let names: usize = catalogue.sellers.values().map(|seller| seller.models.len()).sum();
    println!("{names} names in {took:?}");
    assert!(names > 1000 && catalogue.providers().count() > 30);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn every_model_of_the_catalogue_has_a_card_or_lacks_a_limit() {
    let catalogue = Catalogue::embedded().unwrap();
    let mut cards = 0;
    for (provider, seller) in &catalogue.sellers {
        for name in seller.names() {
            match catalogue.card(provider, name, now()) {
                Ok(card) => {
                    let Card { id, card, .. } = card.unwrap();
                    assert_eq!(card.id().unwrap(), id);
                    assert_eq!(*card.provider, **provider);
                    assert!(
                        card.max_output_tokens > 0 && card.max_output_tokens <= card.context_window,
                        "{name}"
                    );
                    assert!(!card.source.is_empty());
                    cards += 1;
                }
                Err(NotPriced::NoContextWindow | NotPriced::NoOutputLimit) => {}
                Err(other) => unreachable!("{provider} {name}: {other}"),
            }
        }
    }
    assert!(cards > 1000, "{cards}");
}

#[test]
fn a_model_is_found_by_its_name_and_its_aliases_and_by_nothing_else() {
    let catalogue = Catalogue::embedded().unwrap();
    let card = |model| catalogue.card("anthropic", model, now()).unwrap();
    let by_name = card("claude-haiku-4-5").unwrap();
    let by_alias = card("claude-haiku-4-5-20251001").unwrap();
    assert!(Arc::ptr_eq(&by_name.card, &by_alias.card), "made once");
    assert_eq!(by_alias.card.model, "claude-haiku-4-5");
    assert_eq!(by_name.card.rates.cache_write_1h, Some(rate("2")));
    for stranger in ["claude-haiku-4", "claude-haiku-4-5-latest", "Claude-Haiku-4-5", ""] {
        assert_eq!(card(stranger), None);
    }
    assert_eq!(catalogue.card("nobody", "claude-haiku-4-5", now()), Ok(None));
}

#[test]
fn each_time_has_its_card() {
    let catalogue = Catalogue::embedded().unwrap();
    let card = |time| catalogue.card("anthropic", "claude-opus-4-6", at(time)).unwrap().unwrap();
    let (before, after) = (card("2026-03-12T23:59:59.999999Z"), card("2026-03-13T00:00:00Z"));
    assert_eq!((before.card.tiers.len(), after.card.tiers.len()), (1, 0));
    assert_ne!(before.id, after.id);
}

#[test]
fn a_model_without_a_limit_has_no_card() {
    let model = r#"{"provider":"p","model":"m","aliases":[],"context_window":1000,"max_output":null,
        "reasoning":false,"tokenizer":null,"prices":[{"from":"2026-01-01","input":"1","output":"2"}]}"#;
    let lookup = |json: &str, time| from_json(json).unwrap().card("p", "m", at(time));
    assert_eq!(lookup(model, "2026-02-01T00:00:00Z"), Err(NotPriced::NoOutputLimit));
    let complete = model.replace("null,\n", "10,\n");
    assert!(lookup(&complete, "2026-02-01T00:00:00Z").unwrap().is_some());
    assert_eq!(lookup(&complete, "2025-12-31T00:00:00Z"), Err(NotPriced::NotYet));
    assert_eq!(
        lookup(&complete.replace("1000", "null"), "2026-02-01T00:00:00Z"),
        Err(NotPriced::NoContextWindow)
    );
}

#[test]
fn a_fee_for_each_request_is_charged_for_each_request() {
    let catalogue = Catalogue::embedded().unwrap();
    let Card { card, .. } = card_of(&catalogue, "perplexity", "sonar");
    assert_eq!(card.rates.requests, Some(rate("12000")));
    let usage = Usage { requests: 1, ..Usage::default() };
    assert_eq!(cost(&card, &usage).unwrap().to_string(), "0.012");
    let tiered = r#"{"provider":"p","model":"m","aliases":[],"context_window":1000,"max_output":10,
        "reasoning":false,"tokenizer":null,"prices":[{"from":null,"input":"1","output":"2","request":"0.5",
        "tiers":[{"above_input_tokens":5,"input":"3","output":"4"}]}]}"#;
    let tiered = from_json(tiered).unwrap();
    let tier = card_of(&tiered, "p", "m").card.tiers.first().unwrap().rates;
    assert_eq!(tier.requests, Some(rate("500000")), "in every tier");
}

#[test]
fn a_catalogue_that_makes_no_sense_is_refused() {
    let model = |prices: &str| {
        format!(
            r#"{{"provider":"p","model":"m","aliases":[],"context_window":1,"max_output":1,"reasoning":false,
            "tokenizer":null,"prices":[{prices}]}}"#
        )
    };
    let plain = r#"{"from":null,"input":"1","output":"2"}"#;
    assert!(from_json(&model(plain)).is_ok());
    let tier = r#"{"above_input_tokens":5,"input":"1","output":"2"}"#;
    for prices in [
        "".to_owned(),
        format!("{plain},{plain}"),
        plain.replace("\"1\"", "\"-1\""),
        plain.replace("\"1\"", "1.5"),
        plain.replace("null", "\"someday\""),
        plain.replace("\"input\"", "\"batch\":\"1\",\"input\""),
        plain.replace('}', &format!(",\"tiers\":[{tier},{tier}]}}")),
        plain.replace('}', ",\"tiers\":[{\"input\":\"1\",\"output\":\"2\"}]}"),
    ] {
        assert!(from_json(&model(&prices)).is_err(), "{prices}");
    }
    assert!(from_json(&[model(plain), model(plain)].join(",")).is_err(), "one name, two models");
}

#[test]
fn the_operator_s_price_replaces_all_rates_and_inherits_the_limits() {
    let catalogue = with(
        "[[prices]]\nprovider = \"anthropic\"\nmodel = \"claude-haiku-4-5\"\ninput = \"7\"\noutput = \"8\"",
    )
    .unwrap();
    let Card { card, .. } = card_of(&catalogue, "anthropic", "claude-haiku-4-5");
    assert_eq!((card.rates.input, card.rates.cache_write_1h), (rate("7"), None));
    assert_eq!((card.context_window, card.max_output_tokens, card.reasoning), (200_000, 64_000, true));
    assert!(card.source.starts_with("configuration, genai-prices "), "{}", card.source);
    let alias = card_of(&catalogue, "anthropic", "claude-haiku-4-5-20251001");
    assert!(Arc::ptr_eq(&alias.card, &card), "its aliases cost the same");
}

#[test]
fn the_operator_s_price_for_an_alias_is_for_that_alias_only() {
    let entry = |model: &str, input: &str| {
        format!(
            "[[prices]]\nprovider = \"anthropic\"\nmodel = \"{model}\"\ninput = \"{input}\"\noutput = \"8\"\n"
        )
    };
    let (alias, name) = ("claude-haiku-4-5-20251001", "claude-haiku-4-5");
    for entries in [entry(alias, "7") + &entry(name, "9"), entry(name, "9") + &entry(alias, "7")] {
        let catalogue = with(&entries).unwrap();
        assert_eq!(card_of(&catalogue, "anthropic", alias).card.rates.input, rate("7"));
        assert_eq!(card_of(&catalogue, "anthropic", name).card.rates.input, rate("9"));
    }
    let one = with(&entry(alias, "7")).unwrap();
    assert_eq!(card_of(&one, "anthropic", name).card.rates.input, rate("1"));
}

#[test]
fn the_operator_s_limits_make_a_known_price_usable() {
    let (provider, model) = ("anthropic", "claude-3-opus-latest");
    let lacking = Catalogue::embedded().unwrap().card(provider, model, now());
    assert_eq!(lacking, Err(NotPriced::NoOutputLimit));
    let catalogue = with(&format!(
        "[[prices]]\nprovider = \"{provider}\"\nmodel = \"{model}\"\nmax_output_tokens = 4096"
    ));
    let Card { card, .. } = card_of(&catalogue.unwrap(), provider, model);
    assert_eq!((card.max_output_tokens, card.rates.input), (4096, rate("15")));
}

#[test]
fn a_model_of_the_operator_s_needs_a_price_and_limits() {
    let entry = |keys: &str| with(&format!("\n[[prices]]\nprovider = \"ours\"\nmodel = \"m\"\n{keys}"));
    let whole = "input = \"1\"\noutput = \"2\"\ncontext_window = 1000\nmax_output_tokens = 100";
    assert_eq!(card_of(&entry(whole).unwrap(), "ours", "m").card.source, "configuration");
    for (without, told) in [
        ("context_window = 1000", "the price of m needs `context_window`"),
        ("max_output_tokens = 100", "the price of m needs `max_output_tokens`"),
        ("input = \"1\"\noutput = \"2\"", "the price of m needs `input`"),
    ] {
        let refusal = entry(&whole.replace(without, "")).unwrap_err().to_string();
        assert!(refusal.starts_with("nemo.toml:2: ") && refusal.contains(told), "{refusal}");
    }
}

#[test]
fn what_has_no_stated_price_is_told_apart_from_what_falls_back() {
    let catalogue = Catalogue::embedded().unwrap();
    let haiku = card_of(&catalogue, "anthropic", "claude-haiku-4-5").card;
    assert!(has_price_for(&haiku, Extra::CacheWrite1h));
    for extra in
        [Extra::InputAudio, Extra::OutputAudio, Extra::OutputImage, Extra::WebSearch, Extra::FileSearch]
    {
        assert!(!has_price_for(&haiku, extra), "{extra:?}");
    }
    let priced = |models: &str| card_of(&from_json(models).unwrap(), "p", "m").card;
    let tiered = r#"{"provider":"p","model":"m","aliases":[],"context_window":1000,"max_output":10,
        "reasoning":false,"tokenizer":"o200k_base","prices":[{"from":null,"input":"1","output":"2","input_audio":"3",
        "tiers":[{"above_input_tokens":5,"input":"3","output":"4"}]}]}"#;
    assert!(!has_price_for(&priced(tiered), Extra::InputAudio), "not in its tier");
    let everywhere = tiered.replace(r#""output":"4""#, r#""output":"4","input_audio":"6""#);
    assert!(has_price_for(&priced(&everywhere), Extra::InputAudio));
    assert_eq!(priced(tiered).tokenizer, Some(Tokenizer::O200kBase));
}
