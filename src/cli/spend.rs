//! `nemo spend`: what was spent, by whom and when.

use clap::{Args, ValueEnum};
use nemo_events::limits::Endpoint;
use nemo_events::{KeyId, Timestamp};

use super::exit::CommandError;
use super::output::Output;
use super::remote::{RemoteOptions, Session};
use super::render::Rows;
use super::render::spend::SPEND;
use super::reply::Verbatim;
use super::values::{OrgName, endpoint, key_id, moment};
use super::views::{SpendGroup, SpendReply, SpendRow};

/// What was spent: by job, key, model …, by day or month
#[derive(Debug, Args)]
#[command(
    after_help = "Calls count when they were authorised, under the labels that their key had then. Times are \
                        UTC.\n\nExample:  nemo spend --by job --every day --from 2026-11-01 --output csv"
)]
pub struct SpendArgs {
    /// Where and how.
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// Which, and how.
    #[command(flatten)]
    pub question: Question,
}

/// Which spend is added up, and how.
#[derive(Debug, Args)]
pub struct Question {
    /// What has a row of its own; without it everything is one
    #[arg(long, value_name = "WHAT", value_enum)]
    pub by: Option<ByValue>,
    /// How finely time is divided; not at all without it
    #[arg(long, value_name = "STRETCH", value_enum)]
    pub every: Option<EveryValue>,
    /// The first moment that counts, such as 2026-11-01
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Option<Timestamp>,
    /// The first moment that counts no more, such as 2026-12-01
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Option<Timestamp>,
    /// Calls of this key
    #[arg(long, value_name = "KEY", value_parser = key_id)]
    pub of: Option<KeyId>,
    /// Calls of this org's keys, named by id or name
    #[arg(long, value_name = "ORG")]
    pub org: Option<OrgName>,
    /// Calls with this app
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// Calls with this job
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// Calls with this environment
    #[arg(long, value_name = "ENV")]
    pub env: Option<String>,
    /// Calls with this cost centre
    #[arg(long, value_name = "COST-CENTRE")]
    pub cost_centre: Option<String>,
    /// Calls with this tag of their key
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Calls to this provider
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// Calls of this model, by its name at the provider
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Calls by this endpoint
    #[arg(long, value_name = "ENDPOINT", value_parser = endpoint)]
    pub endpoint: Option<Endpoint>,
    /// Wait until the sums reflect this position, as an earlier change answered it
    #[arg(long, value_name = "POSITION")]
    pub min_position: Option<u64>,
}

/// What has rows of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "each is what it says")]
pub enum ByValue {
    Job,
    App,
    Env,
    Org,
    Model,
    Provider,
    Key,
    CostCentre,
    Tags,
    Endpoint,
}

/// How finely time is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "each is what it says")]
pub enum EveryValue {
    QuarterHour,
    Hour,
    Day,
    Week,
    Month,
}

/// `nemo spend`
///
/// # Errors
/// Why it did not work.
pub async fn run(question: Question, session: &mut Session) -> Result<(), CommandError> {
    let org = match &question.org {
        Some(name) => Some(session.org_id(name).await?.to_string()),
        None => None,
    };
    let query = query(question, org);
    let reply: Verbatim<SpendReply> = session.client.get(&["api", "spend"], &query).await?;
    let SpendReply { rows: items, total } = &reply.view;
    if session.output == Output::Json {
        return session.screen.data(&format!("{}\n", reply.json()));
    }
    let mut rows = Rows::new(&SPEND, session.output, session.screen.look);
    session.screen.data(&rows.page(items))?;
    if items.len() > 1 {
        let group = SpendGroup { name: Some("Total".to_owned()), ..SpendGroup::default() };
        rows.footer(&SpendRow { start: None, group, total: total.clone() });
    }
    session.screen.data(&rows.end())?;
    if items.is_empty() {
        session.screen.say(SPEND.none);
    }
    Ok(())
}

fn query(question: Question, org: Option<String>) -> Vec<(&'static str, String)> {
    let filters = [
        ("by", question.by.as_ref().and_then(name_in_api)),
        ("every", question.every.as_ref().and_then(name_in_api)),
        ("from", question.from.map(|from| from.to_string())),
        ("to", question.to.map(|to| to.to_string())),
        ("key", question.of.map(|key| key.to_string())),
        ("org", org),
        ("app", question.app),
        ("job", question.job),
        ("env", question.env),
        ("cost_centre", question.cost_centre),
        ("tag", question.tag),
        ("provider", question.provider),
        ("model", question.model),
        ("endpoint", question.endpoint.map(|endpoint| endpoint.to_string())),
        ("min_position", question.min_position.map(|position| position.to_string())),
    ];
    filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The API writes `cost_centre` where the command line has `cost-centre`.
fn name_in_api(value: &impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().replace('-', "_"))
}
