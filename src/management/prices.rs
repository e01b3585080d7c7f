//! What models cost now: the card by which a call that is authorised at this moment would be priced; and what one
//! model cost before and will cost.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use nemo_events::{Position, PriceCardId, Timestamp, price};
use nemo_read_model::{Limit, PriceCardRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::failures;
use super::input::Query;
use crate::app::App;
use crate::error::{Failure, FailureReply};
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

/// `GET /api/prices/history`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceHistoryQuery {
    /// The model, by the name to ask for.
    model: String,
    /// Waits until the published cards reflect this position.
    min_position: Option<u64>,
}

/// Which models are listed. All that is set must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct PriceFilter {
    /// Models of this configured provider.
    pub(crate) provider: Option<String>,
    /// Models with this in their name, in whatever case.
    pub(crate) q: Option<String>,
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
    /// Since when it holds; `null` where it has no beginning.
    since: Option<Timestamp>,
    /// When the next one holds instead; `null` where none is known.
    until: Option<Timestamp>,
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

/// What one model cost, costs and will cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PriceHistory {
    /// The name to ask for.
    pub(crate) model: String,
    /// The provider that serves it.
    pub(crate) provider: String,
    /// The model's name there.
    pub(crate) provider_model: String,
    /// Its cards by the prices that are configured, the latest first.
    pub(crate) configured: Vec<ConfiguredCard>,
    /// Cards that were published, the latest first: what calls cite. Past calls keep their price.
    pub(crate) published: Vec<PublishedCard>,
    /// The last event that the published ones reflect.
    pub(crate) position: Option<Position>,
}

/// A card that holds from some time on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfiguredCard {
    /// From then on; `null` where it has no beginning.
    pub(crate) since: Option<Timestamp>,
    /// Until then; `null` where it has no end.
    pub(crate) until: Option<Timestamp>,
    /// It holds now.
    pub(crate) in_force: bool,
    /// Its name.
    pub(crate) price_card: PriceCardId,
    /// What it says.
    #[schema(value_type = Object)]
    pub(crate) card: Arc<price::PriceCard>,
}

/// A card that calls may cite.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublishedCard {
    /// Its name.
    pub(crate) price_card: PriceCardId,
    /// When it was published, just before the first call that cites it.
    pub(crate) published_at: Timestamp,
    /// Where in the log.
    pub(crate) published_position: Position,
    /// What it says.
    #[schema(value_type = Object)]
    pub(crate) card: price::PriceCard,
}

/// Lists what models cost.
pub(super) async fn list(asked: Asked, Query(query): Query<PriceQuery>) -> Reply {
    let offers = offers(asked.app(), &PriceFilter { provider: query.provider, q: query.q });
    let limit = query.limit.map(Limit::at_most).unwrap_or_default();
    let page = page_of(&offers, query.cursor.as_deref(), limit);
    let (page, next_cursor) = page.map_err(|error| asked.refused(failures::of_read(&error)))?;
    let now = asked.app().ledger.now();
    let prices = page.iter().map(|(name, route)| Price::of(name, route, now)).collect();
    Ok(HttpResponse::Ok().json(PricePage { prices, next_cursor }))
}

/// Tells what one model cost, costs and will cost.
pub(super) async fn history(asked: Asked, Query(query): Query<PriceHistoryQuery>) -> Reply {
    Ok(HttpResponse::Ok().json(history_of(&asked, &query.model, query.min_position).await?))
}

/// Models that have a price and match, by provider, then by name.
pub(crate) fn offers(app: &App, filter: &PriceFilter) -> Vec<(String, Route)> {
    let mut offers = app.terms().providers.offers(&|_| true, app.ledger.now());
    let wanted = filter.q.as_ref().map(|q| q.to_lowercase());
    offers.retain(|(name, route)| {
        filter.provider.as_ref().is_none_or(|provider| route.provider.name == *provider)
            && wanted.as_ref().is_none_or(|wanted| name.to_lowercase().contains(wanted))
    });
    offers
}

type PageOf<'a> = (&'a [(String, Route)], Option<&'a str>);

/// The page behind a name that was seen last, and the name to go on from.
pub(crate) fn page_of<'a>(
    offers: &'a [(String, Route)],
    cursor: Option<&str>,
    limit: Limit,
) -> Result<PageOf<'a>, Unread> {
    let begin = match cursor {
        None => 0,
        Some(cursor) => {
            let seen = offers.iter().position(|(name, _)| name == cursor);
            seen.ok_or(Unread::InvalidCursor)?.saturating_add(1)
        }
    };
    let rest = offers.get(begin..).unwrap_or_default();
    let page = rest.get(..limit.get()).unwrap_or(rest);
    let next = (page.len() < rest.len()).then(|| page.last().map(|(name, _)| name.as_str())).flatten();
    Ok((page, next))
}

/// What one model cost, costs and will cost.
pub(crate) async fn history_of(
    asked: &Asked,
    model: &str,
    min_position: Option<u64>,
) -> Result<PriceHistory, FailureReply> {
    let now = asked.app().ledger.now();
    let route = asked.app().terms().providers.route(model, now);
    let route = route.map_err(|_| asked.refused(no_such_price()))?;
    let (provider, name) = (route.card.provider.clone(), route.card.model.clone());
    let published = asked.read(min_position, move |reader| reader.price_cards_of(&provider, &name)).await?;
    let cards = route.provider.cards(&route.provider_model);
    let ends = cards.iter().skip(1).map(|(from, _)| Some(*from)).chain([None]);
    let mut configured: Vec<_> = cards
        .iter()
        .zip(ends)
        .map(|((from, card), until)| ConfiguredCard {
            since: some_date(*from),
            until,
            in_force: *from <= now && until.is_none_or(|until| now < until),
            price_card: card.id,
            card: Arc::clone(&card.card),
        })
        .collect();
    configured.reverse();
    Ok(PriceHistory {
        model: model.to_owned(),
        provider: route.provider.name.clone(),
        provider_model: route.provider_model.clone(),
        configured,
        published: published.value.into_iter().map(PublishedCard::from).collect(),
        position: published.position,
    })
}

/// When the card of a route began to hold, and when it will no longer.
pub(crate) fn holds(route: &Route, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    let dates: Vec<_> =
        route.provider.cards(&route.provider_model).into_iter().map(|(from, _)| from).collect();
    let since = dates.iter().rev().find(|from| **from <= now).copied();
    (since.and_then(some_date), dates.into_iter().find(|from| *from > now))
}

/// What holds from the beginning of time has no date.
fn some_date(from: Timestamp) -> Option<Timestamp> {
    Some(from).filter(|from| *from > Timestamp::EPOCH)
}

/// There is no price for a model of this name. The name is not repeated: it may be anything.
fn no_such_price() -> Failure {
    let why = "No model of this name has a price here. `GET /api/prices` lists those that have.";
    Failure::new(StatusCode::NOT_FOUND, "model_not_found", why)
}

impl<'a> Price<'a> {
    fn of(model: &'a str, route: &'a Route, now: Timestamp) -> Self {
        let card = &route.card;
        let (since, until) = holds(route, now);
        Self {
            model,
            provider: &route.provider.name,
            provider_model: &route.provider_model,
            price_card: route.card_id,
            since,
            until,
            context_window: card.context_window,
            max_output_tokens: card.max_output_tokens,
            reasoning: card.reasoning,
            rates: &card.rates,
            tiers: &card.tiers,
            source: &card.source,
        }
    }
}

impl From<PriceCardRow> for PublishedCard {
    fn from(row: PriceCardRow) -> Self {
        let PriceCardRow { id, card, published_at, published_position } = row;
        Self { price_card: id, published_at, published_position, card }
    }
}
