//! What models cost now: the card by which a call that is authorised at this moment would be priced.

use actix_web::HttpResponse;
use nemo_events::{PriceCardId, price};
use nemo_read_model::Limit;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::failures;
use super::input::Query;
use crate::providers::Route;
use crate::read_side::Unread;

/// `GET /api/prices`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceQuery {
    /// Models of this configured provider.
    provider: Option<String>,
    /// Models with this in their name, in whatever case.
    q: Option<String>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on the page: 50 unless stated, at most 200.
    limit: Option<usize>,
    /// Understood and not needed: prices are those of the moment.
    #[serde(rename = "min_position")]
    _min_position: Option<u64>,
}

/// A page of prices, by provider in the order of the configuration, then by name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PricePage<'a> {
    /// The rows.
    prices: Vec<Price<'a>>,
    /// The `cursor` of the next page; `null` on the last one.
    next_cursor: Option<&'a str>,
}

/// What one model costs. Rates are dollars for a million units.
#[derive(Debug, Serialize, ToSchema)]
struct Price<'a> {
    /// The name to ask for.
    model: &'a str,
    /// The provider that serves it.
    provider: &'a str,
    /// The model's name there.
    provider_model: &'a str,
    /// The card's name: what each call's hold cites.
    price_card: PriceCardId,
    /// Most tokens in and out together.
    context_window: u64,
    /// Most tokens out for each choice.
    max_output_tokens: u64,
    /// The model may spend output on hidden reasoning.
    reasoning: bool,
    /// Prices below every tier.
    rates: &'a price::Rates,
    /// Long-context tiers, ascending.
    tiers: &'a [price::Tier],
    /// Where the prices come from.
    source: &'a str,
}

/// Lists what models cost.
pub(super) async fn list(asked: Asked, Query(query): Query<PriceQuery>) -> Reply {
    let app = asked.app();
    let mut offers = app.terms().providers.offers(&|_| true, app.ledger.now());
    let wanted = query.q.map(|q| q.to_lowercase());
    offers.retain(|(name, route)| {
        query.provider.as_ref().is_none_or(|provider| route.provider.name == *provider)
            && wanted.as_ref().is_none_or(|wanted| name.to_lowercase().contains(wanted))
    });
    let begin = match &query.cursor {
        None => 0,
        // The last name that was seen.
        Some(cursor) => {
            let seen = offers.iter().position(|(name, _)| name == cursor);
            let unknown = || asked.refused(failures::of_read(&Unread::InvalidCursor));
            seen.ok_or_else(unknown)?.saturating_add(1)
        }
    };
    let limit = query.limit.map(Limit::at_most).unwrap_or_default().get();
    let rest = offers.get(begin..).unwrap_or_default();
    let page = rest.get(..limit).unwrap_or(rest);
    let next_cursor = (page.len() < rest.len()).then(|| page.last().map(|(name, _)| name.as_str())).flatten();
    let prices = page.iter().map(|(name, route)| Price::of(name, route)).collect();
    Ok(HttpResponse::Ok().json(PricePage { prices, next_cursor }))
}

impl<'a> Price<'a> {
    fn of(model: &'a str, route: &'a Route) -> Self {
        let card = &route.card;
        Self {
            model,
            provider: &route.provider.name,
            provider_model: &route.provider_model,
            price_card: route.card_id,
            context_window: card.context_window,
            max_output_tokens: card.max_output_tokens,
            reasoning: card.reasoning,
            rates: &card.rates,
            tiers: &card.tiers,
            source: &card.source,
        }
    }
}
