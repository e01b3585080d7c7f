//! The directory of keys.

use nemo_events::key::Labels;
use nemo_events::limits::KeyLimits;
use nemo_events::{KeyId, Nanos, OrgId, PepperId, Position, Revision, Timestamp};
use nemo_projections::key::Status;
use rusqlite::params_from_iter;
use rusqlite::types::Value;
use serde::Serialize;

use super::filter::{Where, containing};
use super::overview;
use super::{Answer, Reader, all, first};
use crate::bucket::from_secs;
use crate::caps::{CapUse, WindowSpends};
use crate::columns::Columns;
use crate::error::ReadModelError;
use crate::names::status_name;
use crate::page::{List, Order, Page, PageRequest};

/// A key as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRow {
    /// The key.
    pub key: KeyId,
    /// Its org.
    pub org: OrgId,
    /// Whether it may be used. Expiry is apart: compare `expires_at` with the time.
    pub status: Status,
    /// What it is for.
    pub labels: Labels,
    /// Revision of the event that set the labels.
    pub labels_revision: Revision,
    /// What it may do.
    pub limits: KeyLimits,
    /// From then on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Version of its current secret.
    pub secret_version: u32,
    /// The last four characters of the current secret's text.
    pub last_four: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Where in the log.
    pub created_position: Position,
    /// When labels, limits, status or secret last changed.
    pub changed_at: Timestamp,
    /// Its last event, calls included.
    pub revision: Revision,
    /// When that was recorded.
    pub recorded_at: Timestamp,
    /// When a call was last authorised.
    pub last_used_at: Option<Timestamp>,
    /// Calls that ended.
    pub calls: u64,
    /// What they are charged.
    pub spend: Nanos,
    /// Calls that have not ended.
    pub open_calls: u64,
    /// What they hold.
    pub held: Nanos,
    /// Start of the day, week and month that a call was last charged in, and what was spent in each.
    pub windows: [(Timestamp, Nanos); 3],
}

impl KeyRow {
    /// What the key spent by window.
    #[must_use]
    pub const fn spends(&self) -> WindowSpends {
        WindowSpends { total: self.spend, latest: self.windows }
    }

    /// Its caps in the windows of a moment, the one with the least room in proportion first.
    #[must_use]
    pub fn caps(&self, now: Timestamp) -> Vec<CapUse> {
        let spends = self.spends();
        let mut caps: Vec<_> = self.limits.budgets.iter().map(|budget| spends.of(budget, now)).collect();
        caps.sort_by(|a, b| b.cmp_by_use(a));
        caps
    }
}

/// One of a key's secrets, by what may be shown of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretRow {
    /// Counts the key's secrets, from 1.
    pub version: u32,
    /// The last four characters of its text.
    pub last_four: String,
    /// When it came into force.
    pub created_at: Timestamp,
    /// From then on it is refused; `None` for the current one.
    pub valid_until: Option<Timestamp>,
    /// It was rotated away as leaked.
    pub leaked: bool,
}

/// Labels that were in force from some revision on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelRevision {
    /// The revision that set them.
    pub revision: Revision,
    /// When.
    pub set_at: Timestamp,
    /// The labels.
    pub labels: Labels,
}

/// Which keys are listed. All that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyFilter {
    /// Keys of this org.
    pub org: Option<OrgId>,
    /// Keys of this status.
    pub status: Option<Status>,
    /// Part of the name (case of ASCII letters ignored), beginning of the id (with or without `key_`), or
    /// the last four characters of any secret.
    pub search: Option<String>,
    /// Keys with this app.
    pub app: Option<String>,
    /// Keys with this job.
    pub job: Option<String>,
    /// Keys with this environment.
    pub env: Option<String>,
    /// Keys with this cost centre.
    pub cost_centre: Option<String>,
    /// Keys with this tag among others.
    pub tag: Option<String>,
    /// Keys with a cap that is nearly used up, or more, at this moment.
    pub cap_alert_at: Option<Timestamp>,
    /// Keys that need this pepper at this moment: not revoked, with a secret under it that has not ended.
    pub needs_pepper: Option<(PepperId, Timestamp)>,
    /// Which keys come first, by creation.
    pub order: Order,
}

/// Whether a secret `s` of a key `k` may be presented at a moment, the one `?`. A key that is blocked or has
/// expired may work again, so it counts.
pub(super) const NEEDS_PEPPER: &str =
    "k.status <> 'revoked' AND (s.valid_until IS NULL OR s.valid_until > ?)";

const SELECT: &str = "SELECT k.key_no, k.key_id, k.org_id, k.status, k.name, k.app, k.job, k.env, \
     k.cost_centre, k.tags, k.labels_revision, k.limits, k.expires_at, k.secret_version, k.last_four, \
     k.created_at, k.created_position, k.changed_at, t.revision, t.recorded_at, t.last_used_at, t.calls, \
     t.spend, t.open_calls, t.held, t.day_start, t.day_spend, t.week_start, t.week_spend, t.month_start, \
     t.month_spend FROM keys k JOIN key_totals t USING (key_no)";

impl Reader {
    /// A page of keys by creation.
    ///
    /// # Errors
    /// A cursor of another list; a failing database.
    pub fn keys(
        &self,
        filter: &KeyFilter,
        page: &PageRequest,
    ) -> Result<Answer<Page<KeyRow>>, ReadModelError> {
        let mut conditions = filter.conditions();
        conditions.and_some(&format!("k.key_no {} ?", filter.order.beyond()), page.place(List::Keys)?);
        let sql = format!("{SELECT} {} ORDER BY k.key_no {} LIMIT ?", conditions.sql(), filter.order.sql());
        let values = conditions.values_and(page.limit.and_one());
        self.answer(|db| {
            let rows = all(db, &sql, params_from_iter(values), read)?;
            Ok(Page::of(rows, List::Keys, page.limit))
        })
    }

    /// Whether no key was ever created.
    ///
    /// # Errors
    /// A failing database.
    pub fn has_no_keys(&self) -> Result<Answer<bool>, ReadModelError> {
        self.answer(|db| Ok(first(db, "SELECT key_no FROM keys LIMIT 1", [], |row| row.int())?.is_none()))
    }

    /// One key.
    ///
    /// # Errors
    /// A failing database.
    pub fn key(&self, key: KeyId) -> Result<Answer<Option<KeyRow>>, ReadModelError> {
        let sql = format!("{SELECT} WHERE k.key_id = ?");
        self.answer(|db| Ok(first(db, &sql, [key.digits()], read)?.map(|(_, row)| row)))
    }

    /// A key's secrets, oldest first.
    ///
    /// # Errors
    /// A failing database.
    pub fn key_secrets(&self, key: KeyId) -> Result<Answer<Vec<SecretRow>>, ReadModelError> {
        const SQL: &str = "SELECT s.version, s.last_four, s.created_at, s.valid_until, s.leaked
             FROM keys k JOIN key_secrets s USING (key_no) WHERE k.key_id = ? ORDER BY s.version";
        self.answer(|db| {
            all(db, SQL, [key.digits()], |row| {
                Ok(SecretRow {
                    version: row.get()?,
                    last_four: row.text()?,
                    created_at: row.time()?,
                    valid_until: row.opt_time()?,
                    leaked: row.flag()?,
                })
            })
        })
    }

    /// Keys whose last event has this revision or a later one, with that revision.
    ///
    /// # Errors
    /// A failing database.
    pub fn keys_from_revision(&self, least: Revision) -> Result<Vec<(KeyId, Revision)>, ReadModelError> {
        const SQL: &str = "SELECT k.key_id, t.revision FROM keys k JOIN key_totals t USING (key_no)
             WHERE t.revision >= ? ORDER BY key_no";
        let least = i64::try_from(least.0).unwrap_or(i64::MAX);
        self.answer(|db| all(db, SQL, [least], |row| Ok((row.key_id()?, row.revision()?))))
            .map(|answer| answer.value)
    }

    /// Every set of labels that a key had, oldest first.
    ///
    /// # Errors
    /// A failing database.
    pub fn label_revisions(&self, key: KeyId) -> Result<Answer<Vec<LabelRevision>>, ReadModelError> {
        const SQL: &str = "SELECT l.revision, l.set_at, l.name, l.app, l.job, l.env, l.cost_centre, l.tags
             FROM keys k JOIN label_revisions l USING (key_no) WHERE k.key_id = ? ORDER BY l.revision";
        self.answer(|db| {
            all(db, SQL, [key.digits()], |row| {
                Ok(LabelRevision { revision: row.revision()?, set_at: row.time()?, labels: labels(row)? })
            })
        })
    }
}

impl KeyFilter {
    pub(super) fn conditions(&self) -> Where {
        let mut conditions = Where::default();
        conditions.and_some("k.org_id = ?", self.org.map(|org| org.as_uuid().as_bytes().to_vec()));
        conditions.and_some("k.status = ?", self.status.map(|status| status_name(status).to_owned()));
        conditions.and_some("k.app = ?", self.app.clone());
        conditions.and_some("k.job = ?", self.job.clone());
        conditions.and_some("k.env = ?", self.env.clone());
        conditions.and_some("k.cost_centre = ?", self.cost_centre.clone());
        conditions
            .and_some("EXISTS (SELECT 1 FROM json_each(k.tags) WHERE json_each.value = ?)", self.tag.clone());
        if let Some(now) = self.cap_alert_at {
            let (sql, values) = overview::alerting(now);
            conditions.and_each(&format!("k.key_no IN (SELECT key_no FROM ({sql}))"), values);
        }
        if let Some((pepper, now)) = &self.needs_pepper {
            conditions.and_each(
                &format!(
                    "EXISTS (SELECT 1 FROM key_secrets s WHERE s.key_no = k.key_no AND {NEEDS_PEPPER} \
                     AND s.pepper = ?)"
                ),
                [Value::from(now.as_micros()), Value::from(pepper.as_str().to_owned())],
            );
        }
        if let Some(text) = &self.search {
            let id = text.strip_prefix("key_").unwrap_or(text);
            let values = [containing(text), id.to_owned(), id.to_owned(), text.clone()];
            conditions.and_each(
                "(k.name LIKE ? ESCAPE '\\' OR substr(k.key_id, 1, length(?)) = ? \
                  OR k.key_no IN (SELECT key_no FROM key_secrets WHERE last_four = ?))",
                values.map(Value::from),
            );
        }
        conditions
    }
}

fn read(row: &mut Columns<'_>) -> Result<(i64, KeyRow), ReadModelError> {
    let place = row.int()?;
    let key = KeyRow {
        key: row.key_id()?,
        org: OrgId::from_uuid(row.uuid()?),
        status: row.name()?,
        labels: labels(row)?,
        labels_revision: row.revision()?,
        limits: row.json()?,
        expires_at: row.opt_time()?,
        secret_version: row.get()?,
        last_four: row.text()?,
        created_at: row.time()?,
        created_position: row.position()?,
        changed_at: row.time()?,
        revision: row.revision()?,
        recorded_at: row.time()?,
        last_used_at: row.opt_time()?,
        calls: row.count()?,
        spend: row.nanos()?,
        open_calls: row.count()?,
        held: row.nanos()?,
        windows: [window(row)?, window(row)?, window(row)?],
    };
    Ok((place, key))
}

fn window(row: &mut Columns<'_>) -> Result<(Timestamp, Nanos), ReadModelError> {
    Ok((from_secs(row.int()?), row.nanos()?))
}

fn labels(row: &mut Columns<'_>) -> Result<Labels, ReadModelError> {
    Ok(Labels {
        name: row.text()?,
        app: row.opt_text()?,
        job: row.opt_text()?,
        env: row.opt_text()?,
        cost_centre: row.opt_text()?,
        tags: row.json()?,
    })
}
