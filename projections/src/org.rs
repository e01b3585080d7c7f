//! The fold of an org's stream.

use nemo_events::org::OrgLimits;
use nemo_events::{OrgEvent, Timestamp};
use serde::{Deserialize, Serialize};

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
            let (name, limits) = (e.name.clone(), e.limits.clone());
            *state = Some(Self { name, created_at: at.time, standing: Standing::Active, limits });
            return Ok(());
        }
        let org = state.as_mut().ok_or(CorruptLog("an org's first event is not its creation"))?;
        if org.standing == Standing::Archived {
            return Err(CorruptLog("an archived org changed"));
        }
        match event {
            OrgEvent::OrgCreated(_) => return Err(CorruptLog("an org was created twice")),
            OrgEvent::OrgRenamed(e) => org.name.clone_from(&e.name),
            OrgEvent::OrgLimitsSet(e) => org.limits = e.limits.clone(),
            OrgEvent::OrgSuspended(_) => org.standing = Standing::Suspended,
            OrgEvent::OrgResumed(_) => org.standing = Standing::Active,
            OrgEvent::OrgArchived(_) => org.standing = Standing::Archived,
        }
        Ok(())
    }
}
