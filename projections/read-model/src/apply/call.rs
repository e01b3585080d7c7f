//! Events of a call: it opens, ends once, and may be corrected. Spend is booked where it opened.

use nemo_events::key::{CallAuthorized, CallCorrected, CallForfeited, CallSettled, CallVoided};
use nemo_events::{CallId, Metadata, Nanos, Usage};
use nemo_projections::CorruptLog;

use super::ended_call::{Details, EndedCall};
use super::open_call::OpenCall;
use super::{Batch, OfKey, Place};
use crate::columns::{int, to_json};
use crate::error::{EventError, Fault};
use crate::names::CallEnd;
use crate::sums::units;

/// What an end says.
struct End {
    how: CallEnd,
    cost: Nanos,
    usage: Usage,
    details: Details,
}

impl Batch<'_> {
    pub(super) fn call_authorized(
        &mut self,
        e: &CallAuthorized,
        metadata: &[u8],
        key: OfKey,
        place: Place,
    ) -> Result<(), Fault> {
        let metadata: Metadata =
            serde_json::from_slice(metadata).map_err(|why| Fault::Event(EventError::Metadata(why)))?;
        let open = OpenCall {
            key_no: key.key_no,
            authorized_revision: place.revision,
            authorized_position: place.position,
            authorized_at: place.at.time,
            boot_no: self.caches.boot(self.db, &metadata.node, metadata.boot)?,
            deadline: e.deadline,
            hold: e.hold.amount.as_nanos(),
            route_no: self.caches.route(self.db, e.endpoint, &e.provider, &e.provider_model)?,
            labels_revision: int(e.labels_revision.0)?,
            asked_model: (e.model != e.provider_model).then(|| e.model.as_str().into()),
            streams: e.streams,
            claims: if e.tags.is_empty() { None } else { Some(to_json(&e.tags)?.into()) },
            stored: false,
        };
        let totals = self.totals.of(key.key_no);
        totals.opened(open.hold, open.authorized_at)?;
        if self.caches.open.insert(e.call, open).is_some() {
            return Err(CorruptLog("a call was authorised twice").into());
        }
        self.caches.opened.push(e.call);
        Ok(())
    }

    pub(super) fn call_settled(&mut self, e: &CallSettled, key: OfKey, place: Place) -> Result<(), Fault> {
        let details = Details {
            status: e.status,
            first_byte_ms: e.first_byte_ms.map(int).transpose()?,
            duration_ms: Some(int(e.duration_ms)?),
            over_hold: e.over_hold,
        };
        let how = CallEnd::Settled { evidence: e.evidence, ending: e.ending };
        self.call_ended(e.call, &End { how, cost: e.cost, usage: e.usage, details }, key, place)
    }

    pub(super) fn call_voided(&mut self, e: &CallVoided, key: OfKey, place: Place) -> Result<(), Fault> {
        let duration_ms = Some(int(e.duration_ms)?);
        let details = Details { status: e.status, duration_ms, ..Details::default() };
        let (how, cost, usage) = (CallEnd::Voided { reason: e.reason }, Nanos::ZERO, Usage::default());
        self.call_ended(e.call, &End { how, cost, usage, details }, key, place)
    }

    pub(super) fn call_forfeited(
        &mut self,
        e: &CallForfeited,
        key: OfKey,
        place: Place,
    ) -> Result<(), Fault> {
        let (how, usage, details) =
            (CallEnd::Forfeited { reason: e.reason }, Usage::default(), Details::default());
        self.call_ended(e.call, &End { how, cost: e.charged, usage, details }, key, place)
    }

    fn call_ended(&mut self, call: CallId, end: &End, key: OfKey, place: Place) -> Result<(), Fault> {
        let open = self.caches.open.remove(&call).filter(|open| open.key_no == key.key_no);
        let open = open.ok_or(CorruptLog("a call ended that was not open"))?;
        if open.stored {
            self.ended.no_longer_open.push(call);
        }
        let (call_no, previous_no) = self.caches.number_call(key.id);
        let ended = EndedCall {
            call_no,
            previous_no,
            open,
            ended_revision: place.revision,
            ended_position: place.position,
            ended_at: place.at.time,
            end: end.how,
            cost: end.cost.as_nanos(),
            units: units(&end.usage),
            details: end.details,
            corrected_revision: None,
        };
        let totals = self.totals.of(key.key_no);
        totals.ended(call_no, ended.open.hold)?;
        totals.charged(ended.open.authorized_at, ended.cost)?;
        let sums = ended.sums();
        self.rollups.add(&ended.open, &sums)?;
        self.job_days.add(&ended.open, &sums)?;
        self.claims.add(&ended.open, 1, ended.cost)?;
        self.ended.calls.insert(call, ended);
        Ok(())
    }

    /// Moves the sums of the call's own bucket by the difference.
    pub(super) fn call_corrected(
        &mut self,
        e: &CallCorrected,
        key: OfKey,
        place: Place,
    ) -> Result<(), Fault> {
        let ended = match self.ended.calls.remove(&e.call) {
            Some(ended) => Some(ended),
            None => EndedCall::load(self.db, e.call)?,
        };
        let mut ended = ended
            .filter(|ended| ended.open.key_no == key.key_no)
            .ok_or(CorruptLog("a call was corrected that has not ended"))?;
        if ended.cost != e.charged_before.as_nanos() {
            return Err(CorruptLog("a correction starts from another charge").into());
        }
        let before = ended.sums();
        ended.cost = e.charged.as_nanos();
        ended.corrected_revision = Some(place.revision);
        if let Some(usage) = &e.usage {
            ended.units = units(usage);
        }
        let mut change = ended.sums();
        change.sub(&before)?;
        let cost = e.charged.checked_sub(e.charged_before).ok_or(EventError::OutOfRange)?.as_nanos();
        self.totals.of(key.key_no).charged(ended.open.authorized_at, cost)?;
        self.rollups.add(&ended.open, &change)?;
        self.job_days.add(&ended.open, &change)?;
        self.claims.add(&ended.open, 0, cost)?;
        self.ended.calls.insert(e.call, ended);
        Ok(())
    }
}
