//! The keys of an org, from the read model's directory.

use std::sync::Arc;

use async_trait::async_trait;
use nemo_events::{KeyId, OrgId, Position};
use nemo_read_model::{KeyFilter, Limit, PageRequest};

use super::{REACH_PATIENCE, Shared};
use crate::ledger::KeysOfOrgs;

pub(super) struct Directory(pub(super) Arc<Shared>);

#[async_trait]
impl KeysOfOrgs for Directory {
    async fn keys_of(&self, org: OrgId, until: Position) -> Result<Vec<KeyId>, String> {
        let reached = tokio::time::timeout(REACH_PATIENCE, self.0.board.reach(until)).await;
        reached.map_err(|_| "it is behind".to_owned())?.map_err(|error| error.to_string())?;
        let (mut keys, mut page) =
            (Vec::new(), PageRequest { after: None, limit: Limit::at_most(Limit::MAX) });
        loop {
            let (filter, request) = (KeyFilter { org: Some(org), ..KeyFilter::default() }, page.clone());
            let found = self.0.read(move |reader| reader.keys(&filter, &request)).await;
            let found = found.map_err(|error| error.to_string())?.value;
            keys.extend(found.rows.iter().map(|row| row.key));
            match found.next {
                Some(next) => page.after = Some(next),
                None => return Ok(keys),
            }
        }
    }
}
