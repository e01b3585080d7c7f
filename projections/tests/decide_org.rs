//! Orgs: created, renamed, limited, suspended, resumed, archived.

use nemo_events::limits::KeyLimits;
use nemo_events::org::{
    OrgArchived, OrgCreated, OrgLimits, OrgLimitsSet, OrgRenamed, OrgResumed, OrgSuspended,
};
use nemo_events::{OrgEvent, Revision};
use nemo_projections::decide::{
    ArchiveOrg, CreateOrg, OrgCommand, RenameOrg, ResumeOrg, SetOrgLimits, SuspendOrg,
};
use nemo_projections::org::Standing;
use nemo_projections::{At, CorruptLog, OrgState, Refusal};

use crate::support::{noon, unlimited};

fn fold(events: &[OrgEvent]) -> Result<Option<OrgState>, CorruptLog> {
    let mut state = None;
    for (revision, event) in (0..).zip(events) {
        OrgState::evolve(&mut state, event, At { revision: Revision(revision), time: noon() })?;
    }
    Ok(state)
}

fn created() -> OrgEvent {
    OrgCreated { name: "Research".to_owned(), limits: OrgLimits::default() }.into()
}

fn when(events: &[OrgEvent], command: &dyn OrgCommand) -> Result<Vec<OrgEvent>, Refusal> {
    command.decide(fold(events).unwrap().as_ref(), noon())
}

fn with_defaults(key_defaults: KeyLimits) -> OrgLimits {
    OrgLimits { key_defaults: Some(key_defaults), key_bounds: None }
}

fn suspended() -> OrgEvent {
    OrgSuspended { reason: None }.into()
}

fn archived() -> OrgEvent {
    OrgArchived { reason: None }.into()
}

fn changes() -> [Box<dyn OrgCommand>; 4] {
    [
        Box::new(RenameOrg { name: "Other".to_owned() }),
        Box::new(SetOrgLimits { limits: with_defaults(unlimited()) }),
        Box::new(SuspendOrg { reason: None }),
        Box::new(ResumeOrg),
    ]
}

#[test]
fn an_org_is_created_once() {
    let create = CreateOrg { name: "Research".to_owned(), limits: OrgLimits::default() };
    assert_eq!(when(&[], &create), Ok(vec![created()]));
    assert_eq!(when(&[created()], &create), Err(Refusal::OrgExists));
}

#[test]
fn an_org_needs_a_name_of_at_most_128_bytes() {
    let create = |name: &str| CreateOrg { name: name.to_owned(), limits: OrgLimits::default() };
    assert_eq!(when(&[], &create("  ")), Err(Refusal::Invalid("name is empty".to_owned())));
    assert!(when(&[], &create(&"a".repeat(128))).is_ok());
    assert!(when(&[], &create(&"a".repeat(129))).is_err());
    assert!(when(&[created()], &RenameOrg { name: String::new() }).is_err());
}

#[test]
fn an_orgs_defaults_must_make_sense_for_a_key() {
    let nonsense = with_defaults(KeyLimits::default());
    assert!(matches!(
        when(&[created()], &SetOrgLimits { limits: nonsense.clone() }),
        Err(Refusal::Invalid(_))
    ));
    let create = CreateOrg { name: "Research".to_owned(), limits: nonsense };
    assert!(matches!(when(&[], &create), Err(Refusal::Invalid(_))));
}

#[test]
fn each_change_happens_once() {
    let renamed = OrgRenamed { name: "Other".to_owned() };
    let limited = OrgLimitsSet { limits: with_defaults(unlimited()) };
    let [rename, limit, suspend, resume] = changes();
    let archive = ArchiveOrg { reason: None };
    let steps: [(&dyn OrgCommand, &[OrgEvent], OrgEvent); 5] = [
        (rename.as_ref(), &[], renamed.into()),
        (limit.as_ref(), &[], limited.into()),
        (suspend.as_ref(), &[], suspended()),
        (resume.as_ref(), &[suspended()], OrgResumed {}.into()),
        (&archive, &[], archived()),
    ];
    for (command, before, event) in steps {
        let mut log = [&[created()], before].concat();
        assert_eq!(when(&log, command), Ok(vec![event.clone()]));
        log.push(event);
        assert_eq!(when(&log, command), Ok(vec![]), "a second time");
    }
}

#[test]
fn an_archived_org_stays_as_it_is() {
    let log = [created(), archived()];
    for command in changes() {
        assert_eq!(when(&log, command.as_ref()), Err(Refusal::OrgArchived));
    }
    assert_eq!(when(&[created(), suspended()], &ArchiveOrg { reason: None }), Ok(vec![archived()]));
    assert_eq!(
        fold(&[created(), archived(), suspended()]).unwrap_err(),
        CorruptLog("an archived org changed")
    );
}

#[test]
fn an_org_that_does_not_exist_cannot_be_changed() {
    for command in changes() {
        assert!(matches!(when(&[], command.as_ref()), Err(Refusal::Invalid(_))));
    }
    assert!(matches!(when(&[], &ArchiveOrg { reason: None }), Err(Refusal::Invalid(_))));
    assert!(fold(&[suspended()]).is_err());
    assert!(fold(&[created(), created()]).is_err());
}

#[test]
fn a_reason_has_at_most_512_bytes() {
    let reason = Some("a".repeat(513));
    assert!(when(&[created()], &SuspendOrg { reason: reason.clone() }).is_err());
    assert!(when(&[created()], &ArchiveOrg { reason }).is_err());
}

#[test]
fn the_fold_tells_name_standing_and_limits() {
    let limits = with_defaults(unlimited());
    let log = [
        created(),
        OrgRenamed { name: "Labs".to_owned() }.into(),
        OrgLimitsSet { limits: limits.clone() }.into(),
        suspended(),
    ];
    let org = fold(&log).unwrap().unwrap();
    assert_eq!(org.name, "Labs");
    assert_eq!(org.limits, limits);
    assert_eq!(org.standing, Standing::Suspended);
    assert_eq!(org.created_at, noon());
}
