//! Price cards that were published.

use nemo_events::price::PriceCard;
use nemo_events::{Position, PriceCardId, Timestamp};
use rusqlite::params_from_iter;
use serde::Serialize;

use super::filter::Where;
use super::{Answer, Reader, all, first};
use crate::columns::Columns;
use crate::error::ReadModelError;
use crate::page::{Limit, List, Page, PageRequest};

/// A price card and when it could first be cited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PriceCardRow {
    /// Its name: the hash of its JSON.
    pub id: PriceCardId,
    /// The card.
    pub card: PriceCard,
    /// When it was published.
    pub published_at: Timestamp,
    /// Where in the log.
    pub published_position: Position,
}

const SELECT: &str = "SELECT card_no, card_id, card, published_at, published_position FROM price_cards";

impl Reader {
    /// A page of price cards, newest first.
    ///
    /// # Errors
    /// A cursor of another list; a failing database.
    pub fn price_cards(&self, page: &PageRequest) -> Result<Answer<Page<PriceCardRow>>, ReadModelError> {
        let mut conditions = Where::default();
        conditions.and_some("card_no < ?", page.place(List::PriceCards)?);
        let sql = format!("{SELECT} {} ORDER BY card_no DESC LIMIT ?", conditions.sql());
        let values = conditions.values_and(page.limit.and_one());
        self.answer(|db| {
            let rows = all(db, &sql, params_from_iter(values), read)?;
            Ok(Page::of(rows, List::PriceCards, page.limit))
        })
    }

    /// The latest cards of one model that were published, newest first.
    ///
    /// # Errors
    /// A failing database.
    pub fn price_cards_of(
        &self,
        provider: &str,
        model: &str,
    ) -> Result<Answer<Vec<PriceCardRow>>, ReadModelError> {
        let sql =
            format!("{SELECT} WHERE provider = ? AND model = ? ORDER BY card_no DESC LIMIT {}", Limit::MAX);
        self.answer(|db| {
            let rows = all(db, &sql, [provider, model], read)?;
            Ok(rows.into_iter().map(|(_, row)| row).collect())
        })
    }

    /// One price card.
    ///
    /// # Errors
    /// A failing database.
    pub fn price_card(&self, id: PriceCardId) -> Result<Answer<Option<PriceCardRow>>, ReadModelError> {
        let sql = format!("{SELECT} WHERE card_id = ?");
        self.answer(|db| Ok(first(db, &sql, [id.0.as_bytes()], read)?.map(|(_, row)| row)))
    }
}

fn read(row: &mut Columns<'_>) -> Result<(i64, PriceCardRow), ReadModelError> {
    let place = row.int()?;
    let card = PriceCardRow {
        id: PriceCardId(row.digest()?),
        card: row.json()?,
        published_at: row.time()?,
        published_position: row.position()?,
    };
    Ok((place, card))
}
