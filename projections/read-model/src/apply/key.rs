//! Events of a key that are not about a call: rare, so each is written at once.

use nemo_events::key::{CallsRefused, KeyCreated, KeySecret, KeySecretRotated, Labels};
use nemo_events::limits::KeyLimits;
use nemo_events::{KeyEvent, KeyId, Sealed, Timestamp};
use nemo_projections::CorruptLog;
use nemo_projections::key::Status;
use rusqlite::params;

use super::caches::CachedKey;
use super::{Batch, OfKey, Place, caps, follows};
use crate::columns::to_json;
use crate::error::Fault;
use crate::names::status_name;

impl Batch<'_> {
    pub(super) fn key_event(
        &mut self,
        key: KeyId,
        event: &KeyEvent,
        sealed: &Sealed,
        place: Place,
    ) -> Result<(), Fault> {
        let known = self.caches.key(self.db, key)?;
        follows(known.as_ref().map(|known| known.revision), place.revision)?;
        let Some(known) = known else {
            let of = self.first_event(key, event, place)?;
            return self.key_notice(of, event, sealed, place);
        };
        known.revision = place.revision;
        let key_no = known.key_no;
        let of = OfKey { id: key, key_no };
        self.totals.of(key_no).seen(place.revision, place.at.time);
        self.changed(of, event, sealed, place)?;
        self.key_notice(of, event, sealed, place)
    }

    fn changed(&mut self, of: OfKey, event: &KeyEvent, sealed: &Sealed, place: Place) -> Result<(), Fault> {
        let key_no = of.key_no;
        match event {
            KeyEvent::KeyCreated(_) => Err(CorruptLog("a key was created twice").into()),
            KeyEvent::KeyRelabelled(e) => self.relabelled(key_no, &e.labels, place),
            KeyEvent::KeyLimitsSet(e) => self.limits_set(key_no, &e.limits, place),
            KeyEvent::KeyBlocked(_) => self.status_set(key_no, Status::Blocked, place),
            KeyEvent::KeyUnblocked(_) => self.status_set(key_no, Status::Active, place),
            KeyEvent::KeyRevoked(_) => self.status_set(key_no, Status::Revoked, place),
            KeyEvent::KeySecretRotated(e) => self.secret_rotated(key_no, e, place),
            KeyEvent::KeySecretRetired(e) => self.secret_retired(key_no, e.version, place),
            KeyEvent::KeyDigestRenewed(e) => self.digest_renewed(key_no, &e.secret),
            // A model that may be called again, and slices of the org's budgets: not shown in lists.
            KeyEvent::KeyModelCleared(_)
            | KeyEvent::AllotmentRequired(_)
            | KeyEvent::AllotmentReceived(_)
            | KeyEvent::AllotmentReturned(_) => Ok(()),
            KeyEvent::CallAuthorized(e) => self.call_authorized(e, &sealed.metadata, of, place),
            KeyEvent::CallSettled(e) => self.call_settled(e, of, place),
            KeyEvent::CallVoided(e) => self.call_voided(e, of, place),
            KeyEvent::CallForfeited(e) => self.call_forfeited(e, of, place),
            KeyEvent::CallCorrected(e) => self.call_corrected(e, of, place),
            KeyEvent::CallsRefused(CallsRefused { since, refusals, .. }) => {
                Ok(self.refusals.add(key_no, *since, refusals)?)
            }
            // How far budgets are used up follows from the charges.
            KeyEvent::BudgetAlertRaised(_) => Ok(()),
        }
    }

    fn first_event(&mut self, key: KeyId, event: &KeyEvent, place: Place) -> Result<OfKey, Fault> {
        let KeyEvent::KeyCreated(created) = event else {
            return Err(CorruptLog("a key's first event is not its creation").into());
        };
        self.caches.keys_created = self.caches.keys_created.saturating_add(1);
        let key_no = self.caches.keys_created;
        self.created(key, key_no, created, place)?;
        self.label_revision(key_no, &created.labels, place)?;
        self.secret(key_no, &created.secret, place.at.time)?;
        self.caches.keys.insert(key, CachedKey { key_no, revision: place.revision, last_call: None });
        Ok(OfKey { id: key, key_no })
    }

    fn created(&self, key: KeyId, key_no: i64, e: &KeyCreated, place: Place) -> Result<(), Fault> {
        let at = place.at.time.as_micros();
        let mut insert = self.db.prepare_cached(
            "INSERT INTO keys (key_no, key_id, org_id, status, name, app, job, env, cost_centre, tags,
             labels_revision, limits, expires_at, secret_version, last_four, created_at, created_position,
             changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        insert.execute(params![
            key_no,
            key.digits(),
            e.org.as_uuid().as_bytes(),
            status_name(Status::Active),
            e.labels.name,
            e.labels.app,
            e.labels.job,
            e.labels.env,
            e.labels.cost_centre,
            to_json(&e.labels.tags)?,
            place.revision,
            to_json(&e.limits)?,
            e.limits.expires_at.map(Timestamp::as_micros),
            e.secret.version,
            e.secret.last_four,
            at,
            place.position,
            at,
        ])?;
        self.db
            .prepare_cached(
                "INSERT INTO key_totals (key_no, revision, recorded_at, calls, spend, open_calls, held,
                 day_start, day_spend, week_start, week_spend, month_start, month_spend)
                 VALUES (?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
            )?
            .execute(params![key_no, place.revision, at])?;
        Ok(caps::set(self.db, key_no, &e.limits.budgets)?)
    }

    fn relabelled(&self, key_no: i64, labels: &Labels, place: Place) -> Result<(), Fault> {
        let mut update = self.db.prepare_cached(
            "UPDATE keys SET name = ?2, app = ?3, job = ?4, env = ?5, cost_centre = ?6, tags = ?7,
             labels_revision = ?8, changed_at = ?9 WHERE key_no = ?1",
        )?;
        update.execute(params![
            key_no,
            labels.name,
            labels.app,
            labels.job,
            labels.env,
            labels.cost_centre,
            to_json(&labels.tags)?,
            place.revision,
            place.at.time.as_micros(),
        ])?;
        self.label_revision(key_no, labels, place)
    }

    fn label_revision(&self, key_no: i64, labels: &Labels, place: Place) -> Result<(), Fault> {
        let mut insert = self.db.prepare_cached(
            "INSERT INTO label_revisions (key_no, revision, set_at, name, app, job, env, cost_centre, tags)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        insert.execute(params![
            key_no,
            place.revision,
            place.at.time.as_micros(),
            labels.name,
            labels.app,
            labels.job,
            labels.env,
            labels.cost_centre,
            to_json(&labels.tags)?,
        ])?;
        Ok(())
    }

    fn limits_set(&mut self, key_no: i64, limits: &KeyLimits, place: Place) -> Result<(), Fault> {
        self.db
            .prepare_cached(
                "UPDATE keys SET limits = ?2, expires_at = ?3, changed_at = ?4 WHERE key_no = ?1",
            )?
            .execute(params![
                key_no,
                to_json(limits)?,
                limits.expires_at.map(Timestamp::as_micros),
                place.at.time.as_micros(),
            ])?;
        // What was spent until now says whether a cap was set below it.
        self.totals.flush_one(self.db, key_no)?;
        Ok(caps::set(self.db, key_no, &limits.budgets)?)
    }

    fn status_set(&self, key_no: i64, status: Status, place: Place) -> Result<(), Fault> {
        let changed = self
            .db
            .prepare_cached(
                "UPDATE keys SET status = ?2, changed_at = ?3 WHERE key_no = ?1 AND status <> 'revoked'",
            )?
            .execute(params![key_no, status_name(status), place.at.time.as_micros()])?;
        if changed != 1 {
            return Err(CorruptLog("a revoked key changed its state").into());
        }
        if status == Status::Revoked {
            caps::forget(self.db, key_no)?;
        }
        Ok(())
    }

    fn secret(&self, key_no: i64, secret: &KeySecret, at: Timestamp) -> Result<(), Fault> {
        self.db
            .prepare_cached(
                "INSERT INTO key_secrets (key_no, version, last_four, created_at, valid_until, leaked, pepper)
                 VALUES (?, ?, ?, ?, NULL, 0, ?)",
            )?
            .execute(params![
                key_no,
                secret.version,
                secret.last_four,
                at.as_micros(),
                secret.pepper.as_str()
            ])?;
        Ok(())
    }

    /// The same secret under another pepper.
    fn digest_renewed(&self, key_no: i64, secret: &KeySecret) -> Result<(), Fault> {
        let changed = self
            .db
            .prepare_cached("UPDATE key_secrets SET pepper = ?3 WHERE key_no = ?1 AND version = ?2")?
            .execute(params![key_no, secret.version, secret.pepper.as_str()])?;
        must_be_one(changed)
    }

    /// Every earlier secret ends with the overlap, unless it ends before.
    fn secret_rotated(&self, key_no: i64, e: &KeySecretRotated, place: Place) -> Result<(), Fault> {
        self.db
            .prepare_cached(
                "UPDATE key_secrets SET valid_until = min(coalesce(valid_until, ?2), ?2),
                 leaked = leaked OR (?3 AND version = (SELECT secret_version FROM keys WHERE key_no = ?1))
                 WHERE key_no = ?1",
            )?
            .execute(params![key_no, e.previous_valid_until.as_micros(), e.leaked])?;
        self.secret(key_no, &e.secret, place.at.time)?;
        self.db
            .prepare_cached(
                "UPDATE keys SET secret_version = ?2, last_four = ?3, changed_at = ?4 WHERE key_no = ?1",
            )?
            .execute(params![key_no, e.secret.version, e.secret.last_four, place.at.time.as_micros()])?;
        Ok(())
    }

    fn secret_retired(&self, key_no: i64, version: u32, place: Place) -> Result<(), Fault> {
        let changed = self
            .db
            .prepare_cached("UPDATE key_secrets SET valid_until = ?3 WHERE key_no = ?1 AND version = ?2")?
            .execute(params![key_no, version, place.at.time.as_micros()])?;
        must_be_one(changed)
    }
}

fn must_be_one(changed: usize) -> Result<(), Fault> {
    if changed == 1 {
        Ok(())
    } else {
        Err(CorruptLog("an event names a secret that the key does not have").into())
    }
}
