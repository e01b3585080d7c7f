//! The statement that adds up spend, put together as a question asks for it.

use nemo_events::{OrgId, Timestamp};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::filter::Where;
use super::first;
use super::spend::{Every, Group, GroupBy, SpendFilter, SpendQuery};
use crate::bucket::{DAY_SECS, HOUR_SECS, Size, from_secs, to_secs};
use crate::columns::Columns;
use crate::error::ReadModelError;

/// A part of a statement with its values.
pub(super) struct Source {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

/// First second of the quarter-hour that is not yet in days and months.
pub(super) fn open_quarter(db: &Connection) -> Result<i64, ReadModelError> {
    Ok(first(db, "SELECT open_quarter FROM meta", [], |row| row.int())?.unwrap_or_default())
}

impl SpendQuery {
    /// The largest buckets that answer exactly.
    pub(super) fn source(&self) -> Result<Size, ReadModelError> {
        let times = [self.from, self.to].map(|time| time.unwrap_or(Timestamp::EPOCH));
        let exact = |size: &Size| times.iter().all(|time| from_secs(size.start_of(*time)) == *time);
        let sizes = self.every.sources().iter().find(|size| exact(size));
        sizes.copied().ok_or(ReadModelError::InvalidQuery("from and to must be on quarter-hours"))
    }

    /// The rows of sums that count. Days and months end with the last quarter-hour that is over.
    pub(super) fn rows(&self, size: Size, open_quarter: i64) -> Source {
        let mut source = self.rows_of(size, i64::MIN);
        let all_over = self.to.is_some_and(|to| to_secs(to) <= open_quarter);
        if size != Size::QuarterHour && !all_over {
            let open = self.rows_of(Size::QuarterHour, open_quarter);
            source.sql = format!("{} UNION ALL {}", source.sql, open.sql);
            source.values.extend(open.values);
        }
        source
    }

    fn rows_of(&self, size: Size, at_least: i64) -> Source {
        let mut conditions = Where::default();
        conditions.and("size = ?", size.code());
        conditions.and("start >= ?", self.from.map_or(at_least, to_secs).max(at_least));
        conditions.and_some("start < ?", self.to.map(to_secs));
        let key = self.filter.key.map(|key| key.digits().to_owned());
        // SQLite would rather read everybody's rows of the time.
        let index = if key.is_some() { "INDEXED BY rollups_by_key" } else { "" };
        conditions.and_some("key_no = (SELECT key_no FROM keys WHERE key_id = ?)", key);
        Source {
            sql: format!("SELECT * FROM rollups {index} {}", conditions.sql()),
            values: conditions.values,
        }
    }

    pub(super) fn conditions(&self) -> Where {
        let SpendFilter { key: _, org, app, job, env, cost_centre, tag, provider, provider_model, endpoint } =
            &self.filter;
        let mut conditions = Where::default();
        conditions.and_some("k.org_id = ?", org.map(|org| org.as_uuid().as_bytes().to_vec()));
        conditions.and_some("l.app = ?", app.clone());
        conditions.and_some("l.job = ?", job.clone());
        conditions.and_some("l.env = ?", env.clone());
        conditions.and_some("l.cost_centre = ?", cost_centre.clone());
        conditions
            .and_some("EXISTS (SELECT 1 FROM json_each(l.tags) WHERE json_each.value = ?)", tag.clone());
        conditions.and_some("r.provider = ?", provider.clone());
        conditions.and_some("r.model = ?", provider_model.clone());
        conditions.and_some("r.endpoint = ?", endpoint.map(|endpoint| endpoint.as_str().to_owned()));
        conditions
    }

    /// Only what the question needs is looked up for each row.
    pub(super) fn joins(&self) -> String {
        let filter = &self.filter;
        let labelled = [&filter.app, &filter.job, &filter.env, &filter.cost_centre, &filter.tag];
        let labels = matches!(
            self.group_by,
            GroupBy::App | GroupBy::Job | GroupBy::Env | GroupBy::CostCentre | GroupBy::Tags
        ) || labelled.iter().any(|label| label.is_some());
        let routes = matches!(self.group_by, GroupBy::Provider | GroupBy::Model | GroupBy::Endpoint)
            || filter.provider.is_some()
            || filter.provider_model.is_some()
            || filter.endpoint.is_some();
        let orgs = self.group_by == GroupBy::Org;
        let keys = orgs || self.group_by == GroupBy::Key || filter.org.is_some();
        let joins = [
            (keys, "JOIN keys k ON k.key_no = s.key_no"),
            (orgs, "LEFT JOIN orgs o ON o.org_id = k.org_id"),
            (labels, "JOIN label_revisions l ON l.key_no = s.key_no AND l.revision = s.labels_revision"),
            (routes, "JOIN routes r ON r.route_no = s.route_no"),
        ];
        let needed = joins.iter().filter(|(needed, _)| *needed).map(|(_, join)| *join);
        needed.collect::<Vec<_>>().join(" ")
    }
}

impl GroupBy {
    /// Two columns that name the group.
    pub(super) const fn columns(self) -> &'static str {
        match self {
            Self::Nothing => "NULL, NULL",
            Self::Key => "k.key_id, k.name",
            Self::Org => "k.org_id, o.name",
            Self::App => "l.app, NULL",
            Self::Job => "l.job, NULL",
            Self::Env => "l.env, NULL",
            Self::CostCentre => "l.cost_centre, NULL",
            Self::Tags => "l.tags, NULL",
            Self::Provider => "r.provider, NULL",
            Self::Model => "r.provider, r.model",
            Self::Endpoint => "r.endpoint, NULL",
        }
    }

    pub(super) fn read(self, row: &mut Columns<'_>) -> Result<Group, ReadModelError> {
        Ok(match self {
            Self::Nothing => {
                row.skip(2);
                Group::Everything
            }
            Self::Key => Group::Key(row.key_id()?, row.text()?),
            Self::Org => Group::Org(OrgId::from_uuid(row.uuid()?), row.opt_text()?),
            Self::Model => Group::Model(row.text()?, row.text()?),
            Self::App | Self::Job | Self::Env | Self::CostCentre => {
                Group::Label(row.then_skip(Columns::opt_text)?)
            }
            Self::Tags => Group::Tags(row.then_skip(Columns::json)?),
            Self::Provider => Group::Provider(row.then_skip(Columns::text)?),
            Self::Endpoint => Group::Endpoint(row.then_skip(Columns::name)?),
        })
    }
}

impl Every {
    /// Buckets that stretches of this length are made of, the largest first.
    const fn sources(self) -> &'static [Size] {
        match self {
            Self::Whole | Self::Month => &[Size::Month, Size::Day, Size::QuarterHour],
            Self::Day | Self::Week => &[Size::Day, Size::QuarterHour],
            Self::QuarterHour | Self::Hour => &[Size::QuarterHour],
        }
    }

    /// First second of the stretch that a bucket is in. 1970 began on a Thursday, the fourth day of its week.
    pub(super) fn sql(self) -> String {
        match self {
            Self::Whole => "NULL".to_owned(),
            Self::QuarterHour => "s.start".to_owned(),
            Self::Hour => format!("s.start - s.start % {HOUR_SECS}"),
            Self::Day => format!("s.start - s.start % {DAY_SECS}"),
            Self::Week => format!("s.start - (s.start + {}) % {}", 3 * DAY_SECS, 7 * DAY_SECS),
            Self::Month => "unixepoch(s.start, 'unixepoch', 'start of month')".to_owned(),
        }
    }
}
