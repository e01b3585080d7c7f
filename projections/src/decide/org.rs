//! What a manager may ask of an org.

use nemo_events::org::{
    OrgArchived, OrgCreated, OrgLimits, OrgLimitsSet, OrgRenamed, OrgResumed, OrgSuspended,
};
use nemo_events::{OrgEvent, Timestamp};

use super::OrgCommand;
use super::manage::{validate_bounds, validate_limits, validate_reason, validate_text};
use crate::org::Standing;
use crate::{OrgState, Refusal, bounds};

const NAME_MAX_BYTES: usize = 128;

/// Creates the org.
#[derive(Debug, Clone)]
pub struct CreateOrg {
    /// What people call it.
    pub name: String,
    /// Limits for its keys.
    pub limits: OrgLimits,
}

/// Renames the org.
#[derive(Debug, Clone)]
pub struct RenameOrg {
    /// Its new name.
    pub name: String,
}

/// Replaces the limits for the org's keys.
#[derive(Debug, Clone)]
pub struct SetOrgLimits {
    /// All of them.
    pub limits: OrgLimits,
}

/// Suspends the org.
#[derive(Debug, Clone)]
pub struct SuspendOrg {
    /// Why.
    pub reason: Option<String>,
}

/// Resumes the org.
#[derive(Debug, Clone)]
pub struct ResumeOrg;

/// Archives the org.
#[derive(Debug, Clone)]
pub struct ArchiveOrg {
    /// Why.
    pub reason: Option<String>,
}

pub(super) fn existing(state: Option<&OrgState>) -> Result<&OrgState, Refusal> {
    state.ok_or_else(|| Refusal::Invalid("no such org".to_owned()))
}

pub(super) fn living(state: Option<&OrgState>) -> Result<&OrgState, Refusal> {
    let org = existing(state)?;
    if org.standing == Standing::Archived { Err(Refusal::OrgArchived) } else { Ok(org) }
}

pub(super) fn unless(so_already: bool, event: impl Into<OrgEvent>) -> Vec<OrgEvent> {
    if so_already { Vec::new() } else { vec![event.into()] }
}

impl OrgCommand for CreateOrg {
    fn decide(&self, state: Option<&OrgState>, _now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        if state.is_some() {
            return Err(Refusal::OrgExists);
        }
        validate_name(&self.name)?;
        validate_org_limits(&self.limits)?;
        Ok(vec![OrgCreated { name: self.name.clone(), limits: self.limits.clone() }.into()])
    }
}

impl OrgCommand for RenameOrg {
    fn decide(&self, state: Option<&OrgState>, _now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        let org = living(state)?;
        validate_name(&self.name)?;
        Ok(unless(org.name == self.name, OrgRenamed { name: self.name.clone() }))
    }
}

impl OrgCommand for SetOrgLimits {
    fn decide(&self, state: Option<&OrgState>, _now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        let org = living(state)?;
        validate_org_limits(&self.limits)?;
        Ok(unless(org.limits == self.limits, OrgLimitsSet { limits: self.limits.clone() }))
    }
}

impl OrgCommand for SuspendOrg {
    fn decide(&self, state: Option<&OrgState>, _now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        let org = living(state)?;
        validate_reason(self.reason.as_deref())?;
        Ok(unless(org.standing == Standing::Suspended, OrgSuspended { reason: self.reason.clone() }))
    }
}

impl OrgCommand for ResumeOrg {
    fn decide(&self, state: Option<&OrgState>, _now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        Ok(unless(living(state)?.standing == Standing::Active, OrgResumed {}))
    }
}

impl OrgCommand for ArchiveOrg {
    fn decide(&self, state: Option<&OrgState>, _now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        let org = existing(state)?;
        validate_reason(self.reason.as_deref())?;
        Ok(unless(org.standing == Standing::Archived, OrgArchived { reason: self.reason.clone() }))
    }
}

fn validate_name(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() {
        return Err(Refusal::Invalid("name is empty".to_owned()));
    }
    validate_text("name", name, NAME_MAX_BYTES)
}

fn validate_org_limits(limits: &OrgLimits) -> Result<(), Refusal> {
    let about = |what: &'static str| {
        move |refusal| {
            let Refusal::Invalid(why) = refusal else { return refusal };
            Refusal::Invalid(format!("{what}: {why}"))
        }
    };
    let OrgLimits { key_defaults, key_bounds } = limits;
    if let Some(defaults) = key_defaults {
        validate_limits(defaults).map_err(about("key_defaults"))?;
    }
    if let Some(bounds) = key_bounds {
        validate_bounds(bounds).map_err(about("key_bounds"))?;
    }
    // A key that states nothing must not be refused for what it was given.
    key_defaults.as_ref().map_or(Ok(()), |defaults| bounds::guard(defaults, key_bounds.as_ref()))
}
