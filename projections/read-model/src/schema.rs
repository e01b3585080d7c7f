//! The tables. All of them follow from the log. All are strict and none has a REAL column: a sum that no longer fits is an error.
//!
//! Times are microseconds since 1970, except `start` and `minute`, which are seconds and minutes. Amounts
//! are nano-dollars. Ids of UUIDs and digests are blobs. `…_no` numbers are given in the order of the log
//! and kept short because big tables repeat them.
//!
//! [`VERSION`] goes up whenever a table changes, and whenever applying the same events writes something
//! else; a file of another version is rebuilt. A test with a fixed history forces this.

use std::sync::LazyLock;

use crate::sums::{UNITS, sum_columns};

/// Marks a file as a read model: `NmRM`.
pub(crate) const APPLICATION_ID: i32 = 0x4e6d_524d;

/// Version of the tables and of what is written into them.
pub(crate) const VERSION: i32 = 5;

/// A table with the order in which its content is compared.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// What its columns are; the units and sums of `{units}` and `{sums}` are filled in.
    columns: &'static str,
    options: &'static str,
    indexes: &'static [&'static str],
    pub(crate) order: &'static str,
}

const PLAIN: &str = "STRICT";
const BY_KEY: &str = "STRICT, WITHOUT ROWID";

pub(crate) const TABLES: &[Table] = &[
    // The last event that was applied, and the first quarter-hour that is not yet in days and months.
    Table {
        name: "meta",
        columns: "id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL,
            recorded_at INTEGER NOT NULL, hash BLOB NOT NULL, open_quarter INTEGER NOT NULL,
            stream TEXT NOT NULL, revision INTEGER NOT NULL",
        options: PLAIN,
        indexes: &[],
        order: "id",
    },
    // Last revision of each stream that is neither a key's nor an org's.
    Table {
        name: "heads",
        columns: "stream TEXT PRIMARY KEY, revision INTEGER NOT NULL",
        options: BY_KEY,
        indexes: &[],
        order: "stream",
    },
    // The last position that was recorded in each minute or before it.
    Table {
        name: "times",
        columns: "minute INTEGER PRIMARY KEY, position INTEGER NOT NULL",
        options: PLAIN,
        indexes: &[],
        order: "minute",
    },
    Table {
        name: "orgs",
        columns: "org_no INTEGER PRIMARY KEY, org_id BLOB NOT NULL UNIQUE, name TEXT NOT NULL,
            standing TEXT NOT NULL, limits TEXT NOT NULL, created_at INTEGER NOT NULL,
            created_position INTEGER NOT NULL, revision INTEGER NOT NULL, changed_at INTEGER NOT NULL",
        options: PLAIN,
        indexes: &[],
        order: "org_no",
    },
    // The directory: what changes rarely. What changes with every call is in key_totals.
    Table {
        name: "keys",
        columns: "key_no INTEGER PRIMARY KEY, key_id TEXT NOT NULL UNIQUE, org_id BLOB NOT NULL,
            status TEXT NOT NULL, name TEXT NOT NULL, app TEXT, job TEXT, env TEXT, cost_centre TEXT,
            tags TEXT NOT NULL, labels_revision INTEGER NOT NULL, limits TEXT NOT NULL,
            expires_at INTEGER, secret_version INTEGER NOT NULL, last_four TEXT NOT NULL,
            created_at INTEGER NOT NULL, created_position INTEGER NOT NULL, changed_at INTEGER NOT NULL",
        options: PLAIN,
        indexes: &["keys_by_org ON keys (org_id, key_no)"],
        order: "key_no",
    },
    Table {
        name: "key_totals",
        columns: "key_no INTEGER PRIMARY KEY, revision INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
            last_used_at INTEGER, calls INTEGER NOT NULL, spend INTEGER NOT NULL,
            open_calls INTEGER NOT NULL, held INTEGER NOT NULL, last_call INTEGER,
            day_start INTEGER NOT NULL, day_spend INTEGER NOT NULL,
            week_start INTEGER NOT NULL, week_spend INTEGER NOT NULL,
            month_start INTEGER NOT NULL, month_spend INTEGER NOT NULL",
        options: PLAIN,
        indexes: &[],
        order: "key_no",
    },
    // Caps of keys that are not revoked, and how far each is used up in the window that starts at `start`.
    // `permille` is rounded up: caps are found by it. `lowered_start` is the window in which the cap was set
    // below what was spent already.
    Table {
        name: "caps",
        columns: "key_no INTEGER NOT NULL, kind INTEGER NOT NULL, cap INTEGER NOT NULL,
            alert_permille INTEGER NOT NULL, start INTEGER NOT NULL, permille INTEGER NOT NULL,
            level INTEGER NOT NULL, lowered_start INTEGER, PRIMARY KEY (key_no, kind)",
        options: BY_KEY,
        indexes: &[
            "caps_by_use ON caps (kind, start, permille)",
            "caps_alerting ON caps (kind, start, level) WHERE level > 0",
        ],
        order: "key_no, kind",
    },
    Table {
        name: "key_secrets",
        columns: "key_no INTEGER NOT NULL, version INTEGER NOT NULL, last_four TEXT NOT NULL,
            created_at INTEGER NOT NULL, valid_until INTEGER, leaked INTEGER NOT NULL, pepper TEXT NOT NULL,
            PRIMARY KEY (key_no, version)",
        options: BY_KEY,
        indexes: &["key_secrets_by_last_four ON key_secrets (last_four)"],
        order: "key_no, version",
    },
    Table {
        name: "label_revisions",
        columns: "key_no INTEGER NOT NULL, revision INTEGER NOT NULL, set_at INTEGER NOT NULL,
            name TEXT NOT NULL, app TEXT, job TEXT, env TEXT, cost_centre TEXT, tags TEXT NOT NULL,
            PRIMARY KEY (key_no, revision)",
        options: BY_KEY,
        indexes: &[],
        order: "key_no, revision",
    },
    // Where a call goes: route at the gateway, provider, model's name there.
    Table {
        name: "routes",
        columns: "route_no INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, provider TEXT NOT NULL,
            model TEXT NOT NULL, UNIQUE (endpoint, provider, model)",
        options: PLAIN,
        indexes: &[],
        order: "route_no",
    },
    // Starts of nodes that authorised a call.
    Table {
        name: "boots",
        columns: "boot_no INTEGER PRIMARY KEY, boot_id BLOB NOT NULL UNIQUE, node TEXT NOT NULL",
        options: PLAIN,
        indexes: &[],
        order: "boot_no",
    },
    // Calls that have not ended. Small, so that it needs no further index: it is scanned. Ids of calls
    // begin with their time, so that what comes and goes shares pages.
    Table {
        name: "open_calls",
        columns: "call_id BLOB PRIMARY KEY, key_no INTEGER NOT NULL, authorized_revision INTEGER NOT NULL,
            authorized_position INTEGER NOT NULL, authorized_at INTEGER NOT NULL,
            boot_no INTEGER NOT NULL, deadline INTEGER NOT NULL, hold INTEGER NOT NULL,
            route_no INTEGER NOT NULL, labels_revision INTEGER NOT NULL, asked_model TEXT,
            streams INTEGER NOT NULL, claims TEXT",
        options: BY_KEY,
        indexes: &[],
        order: "call_id",
    },
    // Calls that have ended, in the order of their ends, so that a batch is written to few pages whatever
    // its keys are. A key's calls are chained: key_totals has the last, each has the one before it.
    // asked_model is NULL where it is the route's model.
    Table {
        name: "calls",
        columns: "call_no INTEGER PRIMARY KEY, previous_no INTEGER, call_id BLOB NOT NULL,
            key_no INTEGER NOT NULL, authorized_revision INTEGER NOT NULL,
            authorized_position INTEGER NOT NULL, authorized_at INTEGER NOT NULL, hold INTEGER NOT NULL,
            route_no INTEGER NOT NULL, labels_revision INTEGER NOT NULL, asked_model TEXT,
            streams INTEGER NOT NULL, claims TEXT, ended_revision INTEGER NOT NULL,
            ended_position INTEGER NOT NULL, ended_at INTEGER NOT NULL, outcome INTEGER NOT NULL,
            cost INTEGER NOT NULL, status INTEGER, first_byte_ms INTEGER, duration_ms INTEGER,
            over_hold INTEGER NOT NULL, corrected_revision INTEGER, {units}",
        options: PLAIN,
        indexes: &["calls_by_id ON calls (call_id)"],
        order: "call_no",
    },
    // Ended calls by what their callers claim they were for; '' stands for all further claims of the month.
    Table {
        name: "claims",
        columns: "key_no INTEGER NOT NULL, month INTEGER NOT NULL, claim TEXT NOT NULL,
            calls INTEGER NOT NULL, cost INTEGER NOT NULL, PRIMARY KEY (key_no, month, claim)",
        options: BY_KEY,
        indexes: &[],
        order: "key_no, month, claim",
    },
    // Ended calls by quarter-hour, day and month of their authorisation. Days and months hold what is before
    // meta.open_quarter; what comes after is added up from quarter-hours by those who ask.
    Table {
        name: "rollups",
        columns: "size INTEGER NOT NULL, start INTEGER NOT NULL, key_no INTEGER NOT NULL,
            labels_revision INTEGER NOT NULL, route_no INTEGER NOT NULL, {sums},
            PRIMARY KEY (size, start, key_no, labels_revision, route_no)",
        options: BY_KEY,
        indexes: &["rollups_by_key ON rollups (key_no, size, start)"],
        order: "size, start, key_no, labels_revision, route_no",
    },
    // Ended calls by UTC day of their authorisation and by job ('' for none), whatever their keys are: what a
    // chart over all keys reads. The cost is `dollars` and `nanos` apart, so that a sum over all keys always
    // fits.
    Table {
        name: "job_days",
        columns: "start INTEGER NOT NULL, job TEXT NOT NULL, calls INTEGER NOT NULL,
            voided INTEGER NOT NULL, dollars INTEGER NOT NULL, nanos INTEGER NOT NULL,
            PRIMARY KEY (start, job)",
        options: BY_KEY,
        indexes: &[],
        order: "start, job",
    },
    // Refusals by UTC day and code, whatever their keys are.
    Table {
        name: "refusal_days",
        columns: "start INTEGER NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (start, code)",
        options: BY_KEY,
        indexes: &[],
        order: "start, code",
    },
    // Events that a person or the master key caused; calls are none of them.
    Table {
        name: "deeds",
        columns: "position INTEGER PRIMARY KEY, recorded_at INTEGER NOT NULL, stream TEXT NOT NULL,
            revision INTEGER NOT NULL, event_type TEXT NOT NULL, actor TEXT NOT NULL",
        options: PLAIN,
        indexes: &[],
        order: "position",
    },
    // Events that are worth telling outside, with what is told of each.
    Table {
        name: "outbox",
        columns: "position INTEGER PRIMARY KEY, event_id BLOB NOT NULL, stream TEXT NOT NULL,
            revision INTEGER NOT NULL, recorded_at INTEGER NOT NULL, kind TEXT NOT NULL,
            data TEXT NOT NULL",
        options: PLAIN,
        indexes: &[],
        order: "position",
    },
    // Refusals by minute and day; key_no 0 stands for strings that are no key of ours.
    Table {
        name: "refusals",
        columns: "size INTEGER NOT NULL, start INTEGER NOT NULL, key_no INTEGER NOT NULL,
            code TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (size, start, key_no, code)",
        options: BY_KEY,
        indexes: &["refusals_by_key ON refusals (key_no, size, start)"],
        order: "size, start, key_no, code",
    },
    Table {
        name: "price_cards",
        columns: "card_no INTEGER PRIMARY KEY, card_id BLOB NOT NULL UNIQUE, provider TEXT NOT NULL,
            model TEXT NOT NULL, card TEXT NOT NULL, published_at INTEGER NOT NULL,
            published_position INTEGER NOT NULL",
        options: PLAIN,
        indexes: &[],
        order: "card_no",
    },
    Table {
        name: "nodes",
        columns: "node TEXT PRIMARY KEY, boot_id BLOB NOT NULL, program TEXT NOT NULL,
            started_at INTEGER NOT NULL, stopped_at INTEGER",
        options: BY_KEY,
        indexes: &[],
        order: "node",
    },
    Table {
        name: "peppers",
        columns: "pepper TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, added_at INTEGER NOT NULL,
            retired_at INTEGER",
        options: BY_KEY,
        indexes: &[],
        order: "pepper",
    },
    Table {
        name: "master_keys",
        columns: "master_key TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, replaces TEXT,
            installed_at INTEGER NOT NULL, valid_until INTEGER, leaked INTEGER NOT NULL",
        options: BY_KEY,
        indexes: &[],
        order: "master_key",
    },
];

/// Statements that create every table, in order.
pub(crate) static CREATE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let columns_of = |names: &mut dyn Iterator<Item = &str>| {
        names.map(|name| format!("{name} INTEGER NOT NULL")).collect::<Vec<_>>().join(", ")
    };
    let units = columns_of(&mut UNITS.into_iter());
    let sums = columns_of(&mut sum_columns());
    let table = |table: &Table| {
        let columns = table.columns.replace("{units}", &units).replace("{sums}", &sums);
        let create = format!("CREATE TABLE {} ({columns}) {}", table.name, table.options);
        std::iter::once(create).chain(table.indexes.iter().map(|index| format!("CREATE INDEX {index}")))
    };
    TABLES.iter().flat_map(|t| table(t).collect::<Vec<_>>()).collect()
});
