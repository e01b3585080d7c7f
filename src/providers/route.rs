//! Which providers serve a model: the one that the name itself asks for (`provider/model`), and then only that; else
//! all of them in the order of the configuration, as far as they have a price. The first is asked first.
//!
//! There is no cache of routes: a look-up is a few hashes of a short name, takes no lock, and names that nobody
//! serves leave nothing behind.

use std::sync::Arc;

use nemo_events::price::PriceCard;
use nemo_events::{PriceCardId, Timestamp};
use nemo_projections::decide::Priced;
use nemo_projections::refusal::PriceRefusal;

use super::{Offer, Provider, Unusable};
use crate::catalogue::Catalogue;
use crate::config::{Config, ProviderEntry};

/// No model has a longer name; longer ones are not looked up.
const LONGEST_NAME: usize = 256;

/// All configured providers.
#[derive(Debug)]
pub struct Providers(Vec<Arc<Provider>>);

/// Where a call goes and at what price.
#[derive(Debug, Clone)]
pub struct Route {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The model's name there.
    pub provider_model: String,
    /// The card's name.
    pub card_id: PriceCardId,
    /// The card.
    pub card: Arc<PriceCard>,
}

/// A model as `GET /v1/models` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    /// The name to ask for.
    pub id: String,
    /// The provider that serves it.
    pub owned_by: String,
    /// Most tokens in and out together.
    pub context_window: u64,
    /// Most tokens out.
    pub max_output_tokens: u64,
}

/// A provider that cannot be called.
#[derive(Debug, thiserror::Error)]
#[error("the provider {provider} cannot be used")]
pub struct UnusableProvider {
    /// The provider.
    pub provider: String,
    /// Why.
    pub source: Unusable,
}

impl Providers {
    /// Loads the keys of all configured providers. `before` are those so far, if any: connections to a provider
    /// that stays go on being used.
    ///
    /// # Errors
    /// [`UnusableProvider`] for the first provider whose key is not to be had.
    pub fn new(
        config: &Config,
        catalogue: &Catalogue,
        before: Option<&Self>,
    ) -> Result<Self, UnusableProvider> {
        let known = |name: &str| Some(before?.get(name)?.as_ref());
        let provider = |entry: &ProviderEntry| match Provider::new(entry, catalogue, known(&entry.name)) {
            Ok(provider) => Ok(Arc::new(provider)),
            Err(source) => Err(UnusableProvider { provider: entry.name.clone(), source }),
        };
        config.providers.iter().map(provider).collect::<Result<_, _>>().map(Self)
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.iter()
    }

    /// The provider of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| provider.name == name)
    }

    /// Where a call for a model goes first.
    ///
    /// # Errors
    /// [`PriceRefusal::ModelNotPriced`] if the model is known here but has no price or no limits,
    /// [`PriceRefusal::ModelNotFound`] if nobody serves it.
    pub fn route(&self, model: &str, at: Timestamp) -> Result<Route, PriceRefusal> {
        self.found(model, at, 1)?.pop().ok_or(PriceRefusal::ModelNotFound)
    }

    /// Where a call for a model may go, in turn: at least one. A name that asks for its provider leads nowhere else.
    ///
    /// # Errors
    /// As [`Self::route`].
    pub fn routes(&self, model: &str, at: Timestamp) -> Result<Vec<Route>, PriceRefusal> {
        self.found(model, at, usize::MAX)
    }

    fn found(&self, model: &str, at: Timestamp, most: usize) -> Result<Vec<Route>, PriceRefusal> {
        if model.len() > LONGEST_NAME {
            return Err(PriceRefusal::ModelNotFound);
        }
        let asked_for = model.split_once('/').and_then(|(name, rest)| Some((self.get(name)?, rest)));
        let own = asked_for.into_iter().map(|(provider, name)| (provider, name, 1));
        let all = self.0.iter().map(|provider| (provider, model, most));
        let (mut routes, mut refusal) = (Vec::new(), PriceRefusal::ModelNotFound);
        for (provider, name, enough) in own.chain(all) {
            match provider.offer(name, at) {
                Offer::Priced(provider_model, card) => {
                    let provider = Arc::clone(provider);
                    routes.push(Route { provider, provider_model, card_id: card.id, card: card.card });
                }
                Offer::Unpriced => refusal = PriceRefusal::ModelNotPriced,
                Offer::None => {}
            }
            if routes.len() >= enough {
                break;
            }
        }
        if routes.is_empty() { Err(refusal) } else { Ok(routes) }
    }

    /// The models that have a price, as `GET /v1/models` shows them: see [`Self::offers`].
    pub fn models(&self, allowed: &dyn Fn(&str) -> bool, at: Timestamp) -> Vec<ModelEntry> {
        let entry = |(id, route): (String, Route)| ModelEntry {
            id,
            owned_by: route.provider.name.clone(),
            context_window: route.card.context_window,
            max_output_tokens: route.card.max_output_tokens,
        };
        self.offers(allowed, at).into_iter().map(entry).collect()
    }

    /// The models that have a price, under names that lead to them: by provider, then by name. A model whose
    /// plain name leads to another provider, or is not allowed, is shown as `provider/model`.
    pub fn offers(&self, allowed: &dyn Fn(&str) -> bool, at: Timestamp) -> Vec<(String, Route)> {
        let of = |provider| self.offers_of(provider, allowed, at);
        self.0.iter().flat_map(of).collect()
    }

    fn offers_of(
        &self,
        provider: &Arc<Provider>,
        allowed: &dyn Fn(&str) -> bool,
        at: Timestamp,
    ) -> Vec<(String, Route)> {
        let offer = |id: String, theirs: &str| {
            let route = self.route(&id, at).ok().filter(|_| allowed(&id))?;
            let leads_here = Arc::ptr_eq(&route.provider, provider) && route.provider_model == theirs;
            leads_here.then_some((id, route))
        };
        let names = provider.names();
        let shown = names.into_iter().filter_map(|(ours, theirs)| {
            offer(ours.to_owned(), theirs).or_else(|| offer(format!("{}/{ours}", provider.name), theirs))
        });
        shown.collect()
    }
}

impl Route {
    /// What a decision needs of it.
    #[must_use]
    pub fn priced(&self) -> Priced {
        Priced {
            provider: self.provider.name.clone(),
            provider_model: self.provider_model.clone(),
            card_id: self.card_id,
            card: Arc::clone(&self.card),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]
    use std::path::Path;

    use super::*;
    use crate::config::Environment;

    const TWO: &str = r#"
        [[providers]]
        name = "openai"
        no_api_key = true
        [[providers]]
        name = "groq"
        no_api_key = true
        rename = { "fast" = "openai/gpt-oss-20b", "lost" = "nothing-there" }
        [[providers]]
        name = "mine"
        base_url = "http://127.0.0.1:1/v1"
        no_api_key = true
        models = ["my-*", "gpt-4o-mini"]
        [[prices]]
        provider = "mine"
        model = "my-model"
        input = "1"
        output = "2"
        context_window = 1000
        max_output_tokens = 100
        [[prices]]
        provider = "mine"
        model = "gpt-4o-mini"
        input = "1"
        output = "2"
        context_window = 1000
        max_output_tokens = 100
    "#;

    fn providers(text: &str) -> Providers {
        let config = Config::from_toml(text, Path::new("nemo.toml"), &Environment::default()).unwrap();
        Providers::new(&config, &Catalogue::with(&config.prices).unwrap(), None).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn ends(providers: &Providers, model: &str) -> Result<(String, String), PriceRefusal> {
        providers.route(model, now()).map(|route| (route.provider.name.clone(), route.provider_model))
    }

    fn to(provider: &str, model: &str) -> Result<(String, String), PriceRefusal> {
        Ok((provider.to_owned(), model.to_owned()))
    }

    #[test]
    fn a_model_goes_to_the_first_provider_that_has_a_price_for_it() {
        let two = providers(TWO);
        assert_eq!(ends(&two, "gpt-4o-mini"), to("openai", "gpt-4o-mini"));
        assert_eq!(ends(&two, "my-model"), to("mine", "my-model"));
        let route = two.route("gpt-4o-mini", now()).unwrap();
        assert_eq!((route.card_id, route.card.provider.as_str()), (route.card.id().unwrap(), "openai"));
        assert_eq!(route.priced().provider, "openai");
    }

    #[test]
    fn a_name_can_ask_for_its_provider() {
        let two = providers(TWO);
        assert_eq!(ends(&two, "mine/gpt-4o-mini"), to("mine", "gpt-4o-mini"));
        assert_eq!(ends(&two, "openai/gpt-4o-mini"), to("openai", "gpt-4o-mini"));
        assert_eq!(ends(&two, "groq/openai/gpt-oss-20b"), to("groq", "openai/gpt-oss-20b"));
        assert_eq!(ends(&two, "groq/gpt-4o-mini"), Err(PriceRefusal::ModelNotFound));
        assert_eq!(ends(&two, "nobody/gpt-4o-mini"), Err(PriceRefusal::ModelNotFound));
    }

    #[test]
    fn a_plain_name_leads_to_all_who_have_a_price_in_order_and_a_name_with_a_provider_to_that_alone() {
        let two = providers(TWO);
        let all = |model: &str| -> Vec<String> {
            let routes = two.routes(model, now()).unwrap();
            routes.iter().map(|route| route.provider.name.clone()).collect()
        };
        assert_eq!(all("gpt-4o-mini"), ["openai", "mine"]);
        assert_eq!(all("openai/gpt-4o-mini"), ["openai"]);
        assert_eq!(all("mine/gpt-4o-mini"), ["mine"]);
        assert_eq!(all("my-model"), ["mine"]);
        assert_eq!(two.routes("lost", now()).unwrap_err(), PriceRefusal::ModelNotPriced);
        assert_eq!(two.routes("nothing", now()).unwrap_err(), PriceRefusal::ModelNotFound);
    }

    #[test]
    fn a_slash_in_a_model_s_own_name_is_part_of_it() {
        let two = providers(TWO);
        assert_eq!(ends(&two, "openai/gpt-oss-20b"), to("groq", "openai/gpt-oss-20b"));
    }

    #[test]
    fn a_renamed_model_goes_under_its_provider_s_name_and_price() {
        let two = providers(TWO);
        assert_eq!(ends(&two, "fast"), to("groq", "openai/gpt-oss-20b"));
        assert_eq!(ends(&two, "groq/fast"), to("groq", "openai/gpt-oss-20b"));
        assert_eq!(two.route("fast", now()).unwrap().card.model, "openai/gpt-oss-20b");
    }

    #[test]
    fn a_model_that_nobody_serves_is_told_apart_from_one_without_a_price() {
        let two = providers(TWO);
        for unknown in ["gpt-unheard-of", "", "/", "openai/", "GPT-4O-MINI", &"x".repeat(10_000)] {
            assert_eq!(ends(&two, unknown), Err(PriceRefusal::ModelNotFound), "{unknown}");
        }
        assert_eq!(ends(&two, "my-other"), Err(PriceRefusal::ModelNotPriced), "matches a stated pattern");
        assert_eq!(ends(&two, "lost"), Err(PriceRefusal::ModelNotPriced), "renamed to one without a price");
        assert_eq!(ends(&two, "ada"), Err(PriceRefusal::ModelNotPriced), "known, but without limits");
    }

    #[test]
    fn a_stated_star_serves_everything_and_prices_what_has_a_price() {
        let star = providers("[[providers]]\nname = \"openai\"\nno_api_key = true\nmodels = [\"*\"]");
        assert_eq!(ends(&star, "gpt-4o-mini"), to("openai", "gpt-4o-mini"));
        assert_eq!(ends(&star, "gpt-unheard-of"), Err(PriceRefusal::ModelNotPriced));
    }

    #[test]
    fn the_price_is_that_of_the_time() {
        let arcee = providers(
            "[[providers]]\nname = \"arcee\"\nbase_url = \"https://example.com\"\nno_api_key = true",
        );
        let at = |time: &str| arcee.route("deepseek/deepseek-v4.1-flash", time.parse().unwrap()).unwrap();
        let (before, after) = (at("2026-10-31T23:59:59Z"), at("2026-11-01T00:00:00Z"));
        assert_ne!(before.card_id, after.card_id);
        assert!(before.card.rates.output < after.card.rates.output);
    }

    #[test]
    fn every_listed_name_leads_to_the_provider_that_it_is_listed_for() {
        let two = providers(TWO);
        let models = two.models(&|_| true, now());
        assert!(models.len() > 100);
        for ModelEntry { id, owned_by, .. } in &models {
            assert_eq!(&ends(&two, id).unwrap().0, owned_by, "{id}");
        }
        let ids: std::collections::HashSet<_> = models.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(ids.len(), models.len(), "once each");
        for id in ["gpt-4o-mini", "mine/gpt-4o-mini", "openai/gpt-oss-20b", "fast", "my-model"] {
            assert!(ids.contains(id), "{id}");
        }
        for id in ["ada", "lost", "my-other", "openai/gpt-4o-mini"] {
            assert!(!ids.contains(id), "{id}");
        }
    }

    #[test]
    fn only_allowed_names_are_listed() {
        let two = providers(TWO);
        let ids = |allowed: &dyn Fn(&str) -> bool| -> Vec<String> {
            two.models(allowed, now()).into_iter().map(|model| model.id).collect()
        };
        assert_eq!(ids(&|name| name == "my-model"), ["my-model"]);
        assert_eq!(ids(&|name| name.starts_with("mine/")), ["mine/gpt-4o-mini", "mine/my-model"]);
        assert!(ids(&|_| false).is_empty());
    }

    #[test]
    fn a_provider_whose_key_is_not_to_be_had_is_an_error_that_names_it() {
        let text = "[[providers]]\nname = \"openai\"\napi_key_env = \"NEMO_TEST_NOT_SET\"";
        let config = Config::from_toml(text, Path::new("nemo.toml"), &Environment::default()).unwrap();
        let error = Providers::new(&config, &Catalogue::embedded().unwrap(), None).unwrap_err();
        assert_eq!(error.to_string(), "the provider openai cannot be used");
        assert!(std::error::Error::source(&error).is_some());
    }
}
