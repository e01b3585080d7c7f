//! Who plays: three invented orgs, their keys, and the work that each key does. All of it is plain data.
//!
//! Key ids are fixed and say `Demo`, so that documents can name them and nobody takes them for real ones; the
//! secrets behind them are made anew, at random, in every demo. Addresses are private ones or those that
//! RFC 5737 keeps for examples.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use nemo_events::ids::InvalidId;
use nemo_events::key::Labels;
use nemo_events::limits::{Budget, KeyLimits, WindowKind};
use nemo_events::{KeyId, Nanos, OrgId};
use uuid::Uuid;

use super::rhythm::Rhythm;

/// An org.
#[derive(Debug)]
pub(super) struct Org {
    pub(super) name: &'static str,
    id: u128,
}

impl Org {
    pub(super) const fn id(&self) -> OrgId {
        OrgId::from_uuid(Uuid::from_u128(self.id))
    }
}

pub(super) static HARBOUR: Org = Org { name: "harbour-foods", id: 0xdead_0000_0000_4000_8000_0000_0000_0001 };
pub(super) static LUMEN: Org = Org { name: "lumen-lab", id: 0xdead_0000_0000_4000_8000_0000_0000_0002 };
pub(super) static TRADER: Org = Org { name: "night-trader", id: 0xdead_0000_0000_4000_8000_0000_0000_0003 };
pub(super) static ORGS: [&Org; 3] = [&HARBOUR, &LUMEN, &TRADER];

/// A key, from its creation on.
#[derive(Debug)]
pub(super) struct Role {
    /// The digits of its public id.
    pub(super) id: &'static str,
    pub(super) org: &'static Org,
    /// Name, app, job, env and cost centre.
    pub(super) labels: [&'static str; 5],
    pub(super) limits: Limits,
    /// The day of the story on which it is created.
    pub(super) from_day: i64,
    pub(super) work: Work,
}

impl Role {
    pub(super) fn key(&self) -> Result<KeyId, InvalidId> {
        KeyId::from_digits(self.id)
    }

    pub(super) fn labels(&self) -> Labels {
        let [name, app, job, env, cost_centre] = self.labels.map(str::to_owned);
        let tags = vec!["demo".to_owned()];
        Labels { name, app: Some(app), job: Some(job), env: Some(env), cost_centre: Some(cost_centre), tags }
    }
}

/// What a key may do, briefly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In cents, each with an alert at 80 %.
    pub(super) budgets: &'static [(WindowKind, i64)],
    pub(super) models: &'static [&'static str],
    pub(super) rpm: Option<u32>,
    pub(super) concurrency: Option<u32>,
    pub(super) max_call_cents: Option<i64>,
    /// The /24 that calls may come from.
    pub(super) network: Option<[u8; 3]>,
}

impl Limits {
    const fn of(budgets: &'static [(WindowKind, i64)]) -> Self {
        Self { budgets, models: &[], rpm: None, concurrency: None, max_call_cents: None, network: None }
    }

    /// As the ledger has them.
    pub(super) fn to_ledger(self) -> KeyLimits {
        let budget = |(window, limit): &(WindowKind, i64)| Budget {
            window: *window,
            limit: cents(*limit),
            alert_at_percent: Some(80),
        };
        let models = self.models.iter().map(|model| (*model).to_owned()).collect::<Vec<_>>();
        KeyLimits {
            budgets: self.budgets.iter().map(budget).collect(),
            models: Some(models).filter(|models| !models.is_empty()),
            requests_per_minute: self.rpm,
            concurrent_calls: self.concurrency,
            max_call_cost: self.max_call_cents.map(cents),
            addresses: self.network.and_then(own_network),
            ..KeyLimits::default()
        }
    }
}

fn own_network([a, b, c]: [u8; 3]) -> Option<Vec<IpNet>> {
    Ipv4Net::new(Ipv4Addr::new(a, b, c, 0), 24).ok().map(|net| vec![net.into()])
}

pub(super) const fn cents(cents: i64) -> Nanos {
    Nanos::from_nanos(cents.saturating_mul(10_000_000))
}

/// What a key does all day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// Calls on its first weekday.
    pub(super) per_day: u32,
    /// Calls at weekends, in percent of those on weekdays.
    pub(super) weekend_percent: u32,
    /// What each day adds, in thousandths of the first.
    pub(super) growth_permille: u32,
    pub(super) rhythm: Rhythm,
    /// Models with their weights.
    pub(super) models: &'static [(&'static str, u32)],
    /// Tokens in and out of a call: from, below.
    pub(super) input: (u64, u64),
    pub(super) output: (u64, u64),
    pub(super) streams_percent: u32,
    pub(super) agent: &'static str,
    /// The first three bytes of its addresses, and how many it has there.
    pub(super) network: ([u8; 3], u8),
}

const PYTHON: &str = "OpenAI/Python 2.8.1";
const NODE: &str = "OpenAI/JS 6.9.0";

/// The shop's assistant: busy every day, and more so every week.
pub(super) static SHOP: Role = Role {
    id: "DemoShopBot",
    org: &HARBOUR,
    labels: ["shop assistant", "shop", "chat", "prod", "retail"],
    limits: Limits::of(&[(WindowKind::Day, 100), (WindowKind::Month, 1_000)]),
    from_day: 0,
    work: Work {
        per_day: 34,
        weekend_percent: 130,
        growth_permille: 30,
        rhythm: Rhythm::Shop,
        models: &[("claude-haiku-4-5", 7), ("gpt-4.1-mini", 3)],
        input: (3_000, 9_000),
        output: (120, 700),
        streams_percent: 95,
        agent: NODE,
        network: ([10, 20, 1], 4),
    },
};

/// Support: office hours.
pub(super) static SUPPORT: Role = Role {
    id: "DemoSupport",
    org: &HARBOUR,
    labels: ["support triage", "support", "triage", "prod", "service"],
    limits: Limits::of(&[(WindowKind::Day, 200), (WindowKind::Month, 1_200)]),
    from_day: 0,
    work: Work {
        per_day: 38,
        weekend_percent: 15,
        growth_permille: 8,
        rhythm: Rhythm::Office,
        models: &[("claude-sonnet-4-5", 5), ("claude-haiku-4-5", 3)],
        input: (2_000, 7_000),
        output: (150, 900),
        streams_percent: 60,
        agent: PYTHON,
        network: ([10, 20, 2], 3),
    },
};

/// The nightly report, whose loop ran away one night.
pub(super) static NIGHTLY: Role = Role {
    id: "DemoNightly",
    org: &HARBOUR,
    labels: ["nightly report", "reports", "nightly", "prod", "finance"],
    limits: Limits::of(&[(WindowKind::Day, 700)]),
    from_day: 0,
    work: Work {
        per_day: 26,
        weekend_percent: 100,
        growth_permille: 5,
        rhythm: Rhythm::Night,
        models: &[("gpt-4.1", 1)],
        input: (25_000, 60_000),
        output: (900, 3_000),
        streams_percent: 0,
        agent: PYTHON,
        network: ([10, 20, 9], 1),
    },
};

/// Reads invoices; was there when the provider was not.
pub(super) static INVOICES: Role = Role {
    id: "DemoInvoice",
    org: &HARBOUR,
    labels: ["invoice reader", "accounts", "extract", "prod", "finance"],
    limits: Limits::of(&[(WindowKind::Week, 600)]),
    from_day: 0,
    work: Work {
        per_day: 30,
        weekend_percent: 0,
        growth_permille: 0,
        rhythm: Rhythm::Office,
        models: &[("gpt-4o", 4), ("gpt-4o-mini", 1)],
        input: (4_000, 14_000),
        output: (300, 1_200),
        streams_percent: 0,
        agent: PYTHON,
        network: ([10, 20, 3], 2),
    },
};

/// An app on many phones, some of which keep an old key for too long.
pub(super) static MOBILE: Role = Role {
    id: "DemoMobile1",
    org: &HARBOUR,
    labels: ["mobile app", "shop", "mobile", "prod", "retail"],
    limits: Limits::of(&[(WindowKind::Day, 10)]),
    from_day: 3,
    work: Work {
        per_day: 14,
        weekend_percent: 140,
        growth_permille: 40,
        rhythm: Rhythm::Shop,
        models: &[("gpt-4o-mini", 1)],
        input: (800, 3_000),
        output: (80, 500),
        streams_percent: 100,
        agent: "harbour-app/3.2 (Android)",
        network: ([198, 51, 100], 200),
    },
};

/// Evaluations: more calls within minutes than its limits let through, every weekday at five.
pub(super) static EVALS: Role = Role {
    id: "DemoEvalRun",
    org: &LUMEN,
    labels: ["eval suite", "evals", "regression", "ci", "research"],
    limits: Limits { concurrency: Some(6), rpm: Some(6), ..Limits::of(&[(WindowKind::Day, 50)]) },
    from_day: 0,
    work: Work {
        per_day: 30,
        weekend_percent: 0,
        growth_permille: 0,
        rhythm: Rhythm::AtFive,
        models: &[("gpt-5-mini", 3), ("claude-haiku-4-5", 1)],
        input: (1_500, 6_000),
        output: (600, 4_000),
        streams_percent: 0,
        agent: PYTHON,
        network: ([10, 31, 7], 1),
    },
};

/// Notebooks: few calls, dear ones. Most of what they were given is spent.
pub(super) static SANDBOX: Role = Role {
    id: "DemoSandbox",
    org: &LUMEN,
    labels: ["notebooks", "notebooks", "explore", "dev", "research"],
    limits: Limits { max_call_cents: Some(110), ..Limits::of(&[(WindowKind::Total, 3_200)]) },
    from_day: 1,
    work: Work {
        per_day: 16,
        weekend_percent: 20,
        growth_permille: 10,
        rhythm: Rhythm::Office,
        models: &[("claude-opus-4-5", 4), ("gpt-5.1", 3), ("o3", 1)],
        input: (6_000, 40_000),
        output: (1_500, 9_000),
        streams_percent: 80,
        agent: PYTHON,
        network: ([10, 31, 4], 6),
    },
};

/// Reviews code whenever somebody asks it to.
pub(super) static REVIEWS: Role = Role {
    id: "DemoReviews",
    org: &LUMEN,
    labels: ["code review", "ci", "review", "ci", "platform"],
    limits: Limits::of(&[(WindowKind::Week, 800)]),
    from_day: 5,
    work: Work {
        per_day: 18,
        weekend_percent: 10,
        growth_permille: 20,
        rhythm: Rhythm::Office,
        models: &[("gpt-5.1", 1)],
        input: (8_000, 30_000),
        output: (800, 4_000),
        streams_percent: 0,
        agent: NODE,
        network: ([10, 31, 8], 2),
    },
};

/// A trainee's project: a small total, a short list of models, and both found out.
pub(super) static TRAINEE: Role = Role {
    id: "DemoTrainee",
    org: &LUMEN,
    labels: ["trainee project", "sandbox", "trainee", "dev", "research"],
    limits: Limits { models: &["gpt-4o-mini", "claude-haiku-*"], ..Limits::of(&[(WindowKind::Total, 200)]) },
    from_day: 2,
    work: Work {
        per_day: 24,
        weekend_percent: 30,
        growth_permille: 0,
        rhythm: Rhythm::Office,
        models: &[("claude-haiku-4-5", 8), ("gpt-4o-mini", 3), ("claude-opus-4-5", 1)],
        input: (1_000, 6_000),
        output: (300, 2_000),
        streams_percent: 50,
        agent: "python-httpx/0.28.1",
        network: ([10, 31, 4], 6),
    },
};

const FEED: Work = Work {
    per_day: 16,
    weekend_percent: 100,
    growth_permille: 0,
    rhythm: Rhythm::Always,
    models: &[("gpt-4o-mini", 1)],
    input: (700, 2_500),
    output: (600, 2_200),
    streams_percent: 0,
    agent: "feedd/1.4",
    network: ([192, 0, 2], 2),
};

/// A partner's feed, whose key got into a public repository.
pub(super) static PARTNER: Role = Role {
    id: "DemoPartner",
    org: &TRADER,
    labels: ["partner feed", "feed", "translate", "prod", "partners"],
    limits: Limits::of(&[(WindowKind::Day, 400)]),
    from_day: 0,
    work: FEED,
};

/// The key that took its place, for the partner's own addresses only.
pub(super) static PARTNER_AGAIN: Role = Role {
    id: "DemoPartnr2",
    org: &TRADER,
    labels: ["partner feed, new key", "feed", "translate", "prod", "partners"],
    limits: Limits {
        models: &["gpt-4o-mini"],
        network: Some([192, 0, 2]),
        ..Limits::of(&[(WindowKind::Day, 100)])
    },
    from_day: 23,
    work: FEED,
};

/// For whoever tries the demo: works at once, with a dollar a day.
pub(super) static YOURS: Role = Role {
    id: "DemoYourKey",
    org: &HARBOUR,
    labels: ["your key", "first-steps", "try", "dev", "you"],
    limits: Limits::of(&[(WindowKind::Day, 100)]),
    from_day: 29,
    work: Work { per_day: 0, ..FEED },
};

/// All keys.
pub(super) static ROLES: [&Role; 12] = [
    &SHOP,
    &SUPPORT,
    &NIGHTLY,
    &INVOICES,
    &MOBILE,
    &EVALS,
    &SANDBOX,
    &REVIEWS,
    &TRAINEE,
    &PARTNER,
    &PARTNER_AGAIN,
    &YOURS,
];
