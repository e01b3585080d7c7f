//! Where calls go and what they cost there, as it may be stated.

use super::*;

#[test]
fn a_provider_names_exactly_one_place_for_its_key() {
    let provider = |keys: &str| read(&format!("[[providers]]\nname = \"openai\"\n{keys}"));
    for one in ["api_key_env = \"K\"", "api_key_file = \"/k\"", "no_api_key = true"] {
        assert!(provider(one).is_ok());
    }
    let none = provider("").unwrap_err().to_string();
    assert!(none.contains("nemo.toml:1: `providers.api_key_env` is missing"), "{none}");
    for two in ["api_key_env = \"K\"\napi_key_file = \"/k\"", "api_key_env = \"K\"\nno_api_key = true"] {
        assert!(provider(two).unwrap_err().to_string().contains("must have exactly one of"));
    }
}

#[test]
fn a_provider_s_key_may_be_in_a_variable_that_looks_like_one_of_ours() {
    let text = "[[providers]]\nname = \"openai\"\napi_key_env = \"NEMO_OPENAI_KEY\"";
    let vars = [("NEMO_OPENAI_KEY", "x")];
    assert!(read_with(text, &vars).is_ok());
    assert!(read_with("", &vars).is_err());
}

#[test]
fn an_empty_list_of_models_is_not_taken_for_all_of_them() {
    let text = "[[providers]]\nname = \"openai\"\nno_api_key = true\nmodels = []";
    assert!(refusal(text).starts_with("nemo.toml:4: `providers.models` must not be empty"));
}

#[test]
fn a_base_url_is_https_unless_it_is_on_this_machine_or_plain_http_is_admitted() {
    let url = |url: &str, more: &str| {
        let text = format!("[[providers]]\nname = \"x\"\nno_api_key = true\nbase_url = \"{url}\"\n{more}");
        read(&text).map(|config| config.providers.first().unwrap().base_url.clone())
    };
    for good in ["https://example.com/v1", "http://127.0.0.1:1/v1", "http://localhost", "http://[::1]:80/v1"]
    {
        assert_eq!(url(good, "").unwrap(), good);
    }
    assert_eq!(url("http://example.com/v1//", "allow_http = true").unwrap(), "http://example.com/v1");
    for bad in [
        "http://example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "ftp://example.com",
        "example.com/v1",
        "https://",
        "/v1",
        "https://user@example.com",
        "https://example.com?key=1",
        "https://example.com#x",
        "https://exa mple.com",
        "",
    ] {
        assert!(url(bad, "").is_err(), "{bad}");
    }
    let unknown = refusal("[[providers]]\nname = \"x\"\nno_api_key = true");
    assert_eq!(unknown, "nemo.toml:1: `providers.base_url` is missing");
}

#[test]
fn two_providers_of_one_name_are_refused_and_so_are_two_prices_of_one_model() {
    let provider = "[[providers]]\nname = \"openai\"\nno_api_key = true\n";
    assert_eq!(
        refusal(&provider.repeat(2)),
        "nemo.toml:5: `providers.name` is the name of another provider too"
    );
    let price = "[[prices]]\nprovider = \"a\"\nmodel = \"b\"\nreasoning = true\n";
    assert!(refusal(&price.repeat(2)).starts_with("nemo.toml:7: `prices.model` has another entry"));
}

#[test]
fn without_a_provider_those_with_a_key_in_the_environment_are_used_and_told() {
    let vars = [("GROQ_API_KEY", "x"), ("OPENAI_API_KEY", "x"), ("MISTRAL_API_KEY", "")];
    let Config { providers, notices, .. } = read_with("[calls]\nidle_timeout_secs = 5", &vars).unwrap();
    let names: Vec<_> = providers.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["openai", "groq"], "vendors before resellers, and none with an empty key");
    let openai = providers.first().unwrap();
    assert_eq!(openai.key, KeySource::Variable("OPENAI_API_KEY".into()));
    assert_eq!((openai.flavour, openai.idle_timeout_secs), (Flavour::default(), 5));
    let told: Vec<_> = notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        told.first().unwrap(),
        "no provider is configured; openai is used because OPENAI_API_KEY is set"
    );
    let stated = read_with("[[providers]]\nname = \"mistral\"\nno_api_key = true", &vars).unwrap();
    assert_eq!((stated.providers.len(), stated.notices.len()), (1, 0), "what is stated is all there is");
    assert!(Notice::NoProvider.to_string().contains("OPENAI_API_KEY"));
}

#[test]
fn prices_that_no_provider_uses_are_told() {
    let text = "[[prices]]\nprovider = \"opnai\"\nmodel = \"b\"\nreasoning = true";
    let Config { notices, .. } = read_with(text, &[("OPENAI_API_KEY", "x")]).unwrap();
    assert_eq!(notices.last().unwrap().to_string(), "nemo.toml:1: no provider uses the prices of opnai");
}

#[test]
fn a_price_is_an_exact_decimal() {
    let price = |value: &str| {
        let text = format!("[[prices]]\nprovider = \"a\"\nmodel = \"b\"\ninput = {value}\noutput = \"1\"");
        read(&text).map(|config| config.prices.first().unwrap().prices.as_ref().unwrap().0.input)
    };
    assert_eq!(price("\"2.50\"").unwrap(), rate("2.5"));
    assert_eq!(price("3").unwrap(), rate("3"));
    assert_eq!(price("\"0\"").unwrap(), Rate::ZERO);
    for (value, told) in [
        ("2.5", "nemo.toml:4: `prices.input` must be in quotes, so that it is exact: \"2.5\""),
        ("nan", "must be in quotes"),
        ("\"-1\"", "must not be negative"),
        ("-1", "must be dollars for a million"),
        ("\"1e3\"", "not a decimal amount"),
        ("\"0.0000000001\"", "more than 9 decimals"),
        ("\"99999999999\"", "amount out of range"),
        ("true", "must be dollars for a million"),
    ] {
        let refusal = price(value).unwrap_err().to_string();
        assert!(refusal.contains(told), "{refusal}");
    }
}

#[test]
fn a_price_states_all_of_its_rates_or_none() {
    let price = |keys: &str| read(&format!("[[prices]]\nprovider = \"a\"\nmodel = \"b\"\n{keys}"));
    let limits_only = price("max_output_tokens = 10").unwrap();
    assert_eq!(limits_only.prices.first().unwrap().prices, None);
    for (keys, told) in [
        ("", "`prices.input` is missing"),
        ("input = \"1\"", "`prices.output` is missing"),
        ("cache_read = \"1\"", "`prices.input` is missing"),
        ("tiers = [{ above_input_tokens = 1, input = 1, output = 1 }]", "`prices.input` is missing"),
        ("context_window = 5\nmax_output_tokens = 6", "must not be above context_window"),
        (
            "input = 1\noutput = 1\ncache_write = 2\ntiers = [{ above_input_tokens = 1, input = 1, output = 1 }]",
            "must each state every rate that holds below it; cache_write is missing",
        ),
        (
            "input = 1\noutput = 1\ntiers = [{ above_input_tokens = 2, input = 1, output = 1 }, \
             { above_input_tokens = 2, input = 1, output = 1 }]",
            "must be in ascending order",
        ),
        (
            "input = 1\noutput = 1\ntiers = [{ input = 1, output = 1 }]",
            "`prices.tiers.above_input_tokens` is missing",
        ),
        ("input = 1\noutput = 1\ntiers = [1]", "`prices.tiers` must be written as [[prices.tiers]]"),
    ] {
        let refusal = price(keys).unwrap_err().to_string();
        assert!(refusal.contains(told), "{keys}: {refusal}");
    }
}
