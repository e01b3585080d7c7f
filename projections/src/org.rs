//! The fold of an org's stream.

mod allotted;

use nemo_events::limits::Budget;
use nemo_events::org::OrgLimits;
use nemo_events::{Nanos, OrgEvent, Revision, Timestamp};
use serde::{Deserialize, Serialize};

pub use allotted::{Allotted, Granted, OutOfWindow, first_day};

use crate::{At, CorruptLog};

/// Whether an org's keys may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = OrgStatus))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// They may.
    Active,
    /// Not until it is resumed.
    Suspended,
    /// Never again.
    Archived,
}

/// What a decision about a key needs to know of its org, as a node knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrgView {
    /// Whether its keys may be used.
    pub standing: Standing,
    /// Whether calls draw on slices of its budgets.
    pub slices: SlicesNeeded,
}

/// Whether calls draw on slices of their org's budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlicesNeeded {
    /// They do not: the org has no budgets, as of this revision of its stream.
    No {
        /// The last revision that is known; `None` where the stream has no events.
        as_of: Option<Revision>,
    },
    /// They do.
    Yes {
        /// Revision of the event that put budgets in force.
        since: Revision,
        /// What the org could allot today, as its tightest budget has it. May be out of date, and below zero.
        free: Nanos,
    },
    /// As if the slice sufficed: for finding out what a call would come to. Nothing that is decided so may be
    /// written.
    Assumed,
}

impl From<Standing> for OrgView {
    /// An org of this standing that never had budgets.
    fn from(standing: Standing) -> Self {
        Self { standing, slices: SlicesNeeded::No { as_of: None } }
    }
}

/// An org, as far as its stream tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgState {
    /// What people call it.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether its keys may be used.
    pub standing: Standing,
    /// Limits for its keys.
    pub limits: OrgLimits,
    /// Its own budgets.
    pub budgets: Vec<Budget>,
    /// What its keys were given of them.
    pub allotted: Allotted,
    /// Revision of the last event that is more than an allotment.
    pub changed_at: Revision,
}

impl OrgState {
    /// Folds one event into the state of its org; `None` is an org that does not exist.
    ///
    /// # Errors
    /// An event that no decision could have written at this place.
    pub fn evolve(state: &mut Option<Self>, event: &OrgEvent, at: At) -> Result<(), CorruptLog> {
        if let OrgEvent::OrgCreated(e) = event {
            if state.is_some() {
                return Err(CorruptLog("an org was created twice"));
            }
            *state = Some(Self {
                name: e.name.clone(),
                created_at: at.time,
                standing: Standing::Active,
                limits: e.limits.clone(),
                budgets: Vec::new(),
                allotted: Allotted::default(),
                changed_at: at.revision,
            });
            return Ok(());
        }
        let org = state.as_mut().ok_or(CorruptLog("an org's first event is not its creation"))?;
        org.apply(event, at)
    }

    /// The same without the slices of its keys, which may be many.
    #[must_use]
    pub fn without_slices(&self) -> Self {
        Self {
            name: self.name.clone(),
            created_at: self.created_at,
            standing: self.standing,
            limits: self.limits.clone(),
            budgets: self.budgets.clone(),
            allotted: self.allotted.without_slices(),
            changed_at: self.changed_at,
        }
    }

    fn apply(&mut self, event: &OrgEvent, at: At) -> Result<(), CorruptLog> {
        match event {
            OrgEvent::OrgCreated(_) => return Err(CorruptLog("an org was created twice")),
            OrgEvent::OrgRenamed(e) => self.living(at)?.name.clone_from(&e.name),
            OrgEvent::OrgLimitsSet(e) => self.living(at)?.limits = e.limits.clone(),
            OrgEvent::OrgSuspended(_) => self.living(at)?.standing = Standing::Suspended,
            OrgEvent::OrgResumed(_) => self.living(at)?.standing = Standing::Active,
            OrgEvent::OrgArchived(_) => self.living(at)?.standing = Standing::Archived,
            OrgEvent::OrgBudgetsSet(e) => {
                self.living(at)?.budgets = e.budgets.clone();
                self.allotted.budgets_set(!e.budgets.is_empty(), at.revision);
            }
            // An archived org goes on taking back what it has out.
            OrgEvent::SpendCounted(e) => {
                self.changed_at = at.revision;
                self.allotted.spend_counted(e)?;
            }
            OrgEvent::BudgetAllotted(e) => self.allotted.allotted(e, at.time)?,
            OrgEvent::AllotmentReclaimed(e) => self.allotted.reclaimed(e)?,
            OrgEvent::AllotmentsClosed(e) => self.allotted.closed(e.day)?,
        }
        Ok(())
    }

    fn living(&mut self, at: At) -> Result<&mut Self, CorruptLog> {
        if self.standing == Standing::Archived {
            return Err(CorruptLog("an archived org changed"));
        }
        self.changed_at = at.revision;
        Ok(self)
    }
}
