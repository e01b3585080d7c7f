//! What was spent, on what and when, from rollups alone.
//!
//! A call counts in the bucket, and under the labels, of its *authorisation*, whenever it ended; a
//! correction moves that bucket. So spend agrees with budget windows, and history is never relabelled.
//! The total is the sum of the rows, exactly.

use nemo_events::limits::Endpoint;
use nemo_events::{KeyId, OrgId, Timestamp};
use rusqlite::params_from_iter;
use serde::{Deserialize, Serialize};

use super::spend_sql::open_quarter;
use super::{Answer, MAX_ROWS, Reader, all};
use crate::bucket::from_secs;
use crate::columns::Columns;
use crate::error::ReadModelError;
use crate::sums::{SpendSums, Sums, sum_columns};

/// What has rows of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = SpendGroupBy))]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Nothing: everything is one group.
    #[default]
    Nothing,
    /// Each key.
    Key,
    /// Each org.
    Org,
    /// Each app, as labelled when the call was authorised; likewise the other labels.
    App,
    /// Each job.
    Job,
    /// Each environment.
    Env,
    /// Each cost centre.
    CostCentre,
    /// Each set of tags, so that a call with two tags counts once. For one tag use the filter.
    Tags,
    /// Each provider.
    Provider,
    /// Each provider's model.
    Model,
    /// Each endpoint.
    Endpoint,
}

/// How finely time is divided. All in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = SpendEvery))]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Not at all.
    #[default]
    Whole,
    /// By quarter-hour.
    QuarterHour,
    /// By hour.
    Hour,
    /// By day.
    Day,
    /// By week, from Monday.
    Week,
    /// By month.
    Month,
}

/// Which calls count. All that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpendFilter {
    /// Calls of this key.
    pub key: Option<KeyId>,
    /// Calls of this org's keys.
    pub org: Option<OrgId>,
    /// Calls labelled with this app when they were authorised; likewise the other labels.
    pub app: Option<String>,
    /// Calls with this job.
    pub job: Option<String>,
    /// Calls with this environment.
    pub env: Option<String>,
    /// Calls with this cost centre.
    pub cost_centre: Option<String>,
    /// Calls with this tag among others.
    pub tag: Option<String>,
    /// Calls to this provider.
    pub provider: Option<String>,
    /// Calls of this model, by its name at the provider.
    pub provider_model: Option<String>,
    /// Calls by this endpoint.
    pub endpoint: Option<Endpoint>,
}

/// Which spend is added up, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpendQuery {
    /// What has rows of its own.
    pub group_by: GroupBy,
    /// How finely time is divided.
    pub every: Every,
    /// First moment that counts, on a quarter-hour. Whole days or months are read faster.
    pub from: Option<Timestamp>,
    /// First moment that counts no more, on a quarter-hour.
    pub to: Option<Timestamp>,
    /// Which calls count.
    pub filter: SpendFilter,
}

/// What a row stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Everything.
    Everything,
    /// A key with its current name.
    Key(KeyId, String),
    /// An org with its current name.
    Org(OrgId, Option<String>),
    /// A label's value; `None` for calls of keys without it.
    Label(Option<String>),
    /// A set of tags.
    Tags(Vec<String>),
    /// A provider.
    Provider(String),
    /// A provider and its model.
    Model(String, String),
    /// An endpoint.
    Endpoint(Endpoint),
}

/// Spend of one group in one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpendRow {
    /// The group.
    pub group: Group,
    /// First moment of the stretch; `None` where time is not divided.
    pub start: Option<Timestamp>,
    /// What its calls come to.
    pub sums: SpendSums,
}

/// Spend by group and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spend {
    /// The rows, by time and group. Where nothing was spent there is none.
    pub rows: Vec<SpendRow>,
    /// Their sum.
    pub total: SpendSums,
}

impl Reader {
    /// Adds up spend.
    ///
    /// # Errors
    /// Times that are not on quarter-hours; more than 200,000 rows; a sum beyond 64 bits; a failing database.
    pub fn spend(&self, query: &SpendQuery) -> Result<Answer<Spend>, ReadModelError> {
        let size = query.source()?;
        let sums = sum_columns().map(|column| format!("sum(s.{column})")).collect::<Vec<_>>().join(", ");
        self.answer(|db| {
            let source = query.rows(size, open_quarter(db)?);
            let conditions = query.conditions();
            let sql = format!(
                "SELECT {bucket}, {group}, {sums} FROM ({source}) s {joins} {clause}
                 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT ?",
                bucket = query.every.sql(),
                group = query.group_by.columns(),
                source = source.sql,
                joins = query.joins(),
                clause = conditions.sql(),
            );
            let values = source.values.into_iter().chain(conditions.values_and(MAX_ROWS + 1));
            let rows = all(db, &sql, params_from_iter(values), |row| read(row, query.group_by))?;
            if i64::try_from(rows.len()).is_ok_and(|rows| rows > MAX_ROWS) {
                return Err(ReadModelError::InvalidQuery("more than 200000 rows: ask for less"));
            }
            let mut total = Sums::default();
            for (_, _, sums) in &rows {
                let too_large = |_| ReadModelError::InvalidQuery("the sum is beyond 64 bits: ask for less");
                total.add(sums).map_err(too_large)?;
            }
            let rows = rows.into_iter();
            let rows = rows.map(|(start, group, sums)| SpendRow { group, start, sums: sums.into() });
            Ok(Spend { rows: rows.collect(), total: total.into() })
        })
    }
}

type Row = (Option<Timestamp>, Group, Sums);

fn read(row: &mut Columns<'_>, group_by: GroupBy) -> Result<Row, ReadModelError> {
    let start = row.get::<Option<i64>>()?.map(from_secs);
    let group = group_by.read(row)?;
    Ok((start, group, Sums { counts: row.ints()?, units: row.ints()? }))
}
