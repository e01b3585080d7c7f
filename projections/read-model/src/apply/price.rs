//! Events of the `prices` stream.

use nemo_events::PriceEvent;
use rusqlite::params;

use super::{Batch, Place};
use crate::columns::to_json;
use crate::error::Fault;

impl Batch<'_> {
    pub(super) fn price_event(&self, event: &PriceEvent, place: Place) -> Result<(), Fault> {
        let PriceEvent::PriceCardPublished(e) = event;
        // A card is named by its content, so publishing it again changes nothing.
        self.db
            .prepare_cached(
                "INSERT INTO price_cards (card_id, provider, model, card, published_at, published_position)
                 VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (card_id) DO NOTHING",
            )?
            .execute(params![
                e.id.0.as_bytes(),
                e.card.provider,
                e.card.model,
                to_json(&e.card)?,
                place.at.time.as_micros(),
                place.position,
            ])?;
        Ok(())
    }
}
