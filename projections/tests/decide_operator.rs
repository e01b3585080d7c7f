//! People who log in: who may come, change and go, and which sessions are over.

use nemo_events::operator::{LinkPurpose, OperatorRoleGranted, SessionStarted, SessionsEnded};
use nemo_events::{LinkId, OperatorEvent, OperatorId, PasswordId, Revision, Role, SessionId, Timestamp};
use nemo_projections::decide::{
    EndSessions, Found, GrantRole, IssueLink, Join, Newcomer, OperatorCommand, PasswordProof, RemoveOperator,
    SetPassword, StartSession,
};
use nemo_projections::{At, Operators, Refusal};
use uuid::Uuid;

const ADA: u128 = 1;
const BO: u128 = 2;

fn operator(n: u128) -> OperatorId {
    OperatorId::from_uuid(Uuid::from_u128(n))
}

fn password(n: u128) -> PasswordId {
    PasswordId::from_uuid(Uuid::from_u128(n))
}

fn link() -> LinkId {
    LinkId::from_uuid(Uuid::from_u128(9))
}

fn newcomer(n: u128, name: &str) -> Newcomer {
    Newcomer { operator: operator(n), name: name.to_owned(), password: password(n) }
}

/// A stream under test; events get dense revisions.
#[derive(Default)]
struct Stream {
    state: Operators,
    next: u64,
}

impl Stream {
    fn execute(&mut self, command: &impl OperatorCommand) -> Result<Vec<OperatorEvent>, Refusal> {
        let events = command.decide(&self.state, Timestamp::EPOCH)?;
        for event in &events {
            self.append(event).unwrap();
        }
        Ok(events)
    }

    fn append(&mut self, event: &OperatorEvent) -> Result<(), nemo_projections::CorruptLog> {
        let at = At { revision: Revision(self.next), time: Timestamp::from_micros(1) };
        self.next += 1;
        self.state.evolve(event, at)
    }

    /// Logs in; the revision at which the session began.
    fn logged_in(&mut self, n: u128, with: PasswordId) -> Revision {
        let session = SessionId::from_uuid(Uuid::from_u128(n));
        self.execute(&StartSession { operator: operator(n), session, password: with, address: None })
            .unwrap();
        Revision(self.next - 1)
    }

    fn is_in(&self, n: u128, began: Revision) -> bool {
        self.state.in_session(operator(n), began).is_some()
    }
}

/// Ada, who founded it, and Bo, an auditor.
fn two() -> Stream {
    let mut stream = Stream::default();
    stream.execute(&Found { newcomer: newcomer(ADA, "Ada") }).unwrap();
    let join =
        Join { newcomer: newcomer(BO, "Bo"), role: Role::Auditor, link: (link(), Revision(stream.next)) };
    stream.execute(&join).unwrap();
    stream
}

#[test]
fn only_the_first_one_comes_without_being_asked_and_is_an_admin() {
    let mut stream = Stream::default();
    stream.execute(&Found { newcomer: newcomer(ADA, " Ada ") }).unwrap();
    assert_eq!(
        stream.state.get(operator(ADA)).map(|o| (o.name.as_str(), o.role)),
        Some(("Ada", Role::Admin))
    );
    let again = stream.execute(&Found { newcomer: newcomer(BO, "Bo") });
    assert_eq!(again, Err(Refusal::LinkSpent));
}

#[test]
fn no_two_people_have_the_same_name_but_a_name_comes_free_with_its_owner() {
    let mut stream = two();
    let join =
        |name: &str| Join { newcomer: newcomer(3, name), role: Role::Finance, link: (link(), Revision(100)) };
    for taken in ["bo", " BO ", "ada"] {
        assert_eq!(stream.execute(&join(taken)), Err(Refusal::OperatorNameTaken), "{taken}");
    }
    for bad in ["", "   ", "a\nb", &"x".repeat(65)] {
        assert!(matches!(stream.execute(&join(bad)), Err(Refusal::Invalid(_))), "{bad:?}");
    }
    stream.execute(&RemoveOperator { operator: operator(BO), reason: None }).unwrap();
    stream.execute(&join("Bo")).unwrap();
    assert_eq!(stream.state.named("bO").map(|(id, _)| id), Some(operator(3)));
}

#[test]
fn the_last_admin_can_be_neither_removed_nor_demoted() {
    let mut stream = two();
    let demote = GrantRole { operator: operator(ADA), role: Role::Finance };
    let remove = RemoveOperator { operator: operator(ADA), reason: None };
    assert_eq!(stream.execute(&demote), Err(Refusal::LastAdmin));
    assert_eq!(stream.execute(&remove), Err(Refusal::LastAdmin));
    stream.execute(&GrantRole { operator: operator(BO), role: Role::Admin }).unwrap();
    stream.execute(&demote).unwrap();
    let bo = RemoveOperator { operator: operator(BO), reason: None };
    assert_eq!(stream.execute(&bo), Err(Refusal::LastAdmin));
    stream.execute(&remove).unwrap();
    assert_eq!(stream.execute(&remove), Ok(vec![]), "what is so already is no event");
}

#[test]
fn whoever_was_removed_neither_changes_nor_logs_in() {
    let mut stream = two();
    stream.execute(&RemoveOperator { operator: operator(BO), reason: Some("left".into()) }).unwrap();
    let gone = GrantRole { operator: operator(BO), role: Role::Admin };
    assert_eq!(stream.execute(&gone), Err(Refusal::OperatorUnknown));
    let session = SessionId::from_uuid(Uuid::nil());
    let login = StartSession { operator: operator(BO), session, password: password(BO), address: None };
    assert_eq!(stream.execute(&login), Err(Refusal::LoginFailed));
    let link = IssueLink {
        link: link(),
        purpose: LinkPurpose::Password { operator: operator(BO) },
        valid_secs: 3_600,
    };
    assert_eq!(stream.execute(&link), Err(Refusal::OperatorUnknown));
}

#[test]
fn a_session_is_over_with_another_password_another_role_and_a_removal() {
    let changes: [&dyn OperatorCommand; 4] = [
        &SetPassword {
            operator: operator(BO),
            password: password(7),
            proof: PasswordProof::Before(password(BO)),
        },
        &GrantRole { operator: operator(BO), role: Role::Finance },
        &RemoveOperator { operator: operator(BO), reason: None },
        &EndSessions::Of(operator(BO)),
    ];
    for change in changes {
        let mut stream = two();
        let (ada, bo) = (stream.logged_in(ADA, password(ADA)), stream.logged_in(BO, password(BO)));
        assert!(stream.is_in(ADA, ada) && stream.is_in(BO, bo));
        for event in change.decide(&stream.state, Timestamp::EPOCH).unwrap() {
            stream.append(&event).unwrap();
        }
        assert!(stream.is_in(ADA, ada) && !stream.is_in(BO, bo));
    }
}

#[test]
fn signing_everybody_out_ends_all_sessions_and_all_links() {
    let mut stream = two();
    let (ada, bo) = (stream.logged_in(ADA, password(ADA)), stream.logged_in(BO, password(BO)));
    let made = Revision(stream.next - 1);
    stream.execute(&EndSessions::Everybody).unwrap();
    assert!(!stream.is_in(ADA, ada) && !stream.is_in(BO, bo) && !stream.state.link_holds(made));
    let join = Join { newcomer: newcomer(3, "Cy"), role: Role::Admin, link: (link(), made) };
    assert_eq!(stream.execute(&join), Err(Refusal::LinkSpent));
    let proof = PasswordProof::Link(link(), made);
    let set = SetPassword { operator: operator(BO), password: password(7), proof };
    assert_eq!(stream.execute(&set), Err(Refusal::LinkSpent));
    let again = stream.logged_in(ADA, password(ADA));
    assert!(stream.is_in(ADA, again));
}

#[test]
fn a_password_that_was_replaced_meanwhile_begins_no_session_and_changes_nothing() {
    let mut stream = two();
    let set = |new| SetPassword {
        operator: operator(BO),
        password: password(new),
        proof: PasswordProof::Before(password(BO)),
    };
    stream.execute(&set(7)).unwrap();
    assert_eq!(stream.execute(&set(8)), Err(Refusal::LoginFailed));
    let session = SessionId::from_uuid(Uuid::nil());
    let login = StartSession { operator: operator(BO), session, password: password(BO), address: None };
    assert_eq!(stream.execute(&login), Err(Refusal::LoginFailed));
    stream.logged_in(BO, password(7));
}

#[test]
fn ending_one_session_leaves_the_others_to_their_nodes() {
    let mut stream = two();
    let began = stream.logged_in(BO, password(BO));
    let session = SessionId::from_uuid(Uuid::from_u128(77));
    let ended = stream.execute(&EndSessions::One(operator(BO), session)).unwrap();
    let expected = SessionsEnded { operator: Some(operator(BO)), session: Some(session) };
    assert_eq!(ended, vec![expected.into()]);
    assert!(stream.is_in(BO, began));
}

#[test]
fn events_of_nobody_stop_the_fold() {
    let granted = OperatorRoleGranted { operator: operator(5), role: Role::Admin };
    let session = SessionId::from_uuid(Uuid::nil());
    let started = SessionStarted { operator: operator(5), session, address: None };
    for event in [OperatorEvent::from(granted), started.into()] {
        assert!(two().append(&event).is_err());
        let mut stream = Stream::default();
        assert!(stream.append(&event).is_err());
    }
    let mut stream = two();
    let created = stream.state.clone();
    let again =
        Found { newcomer: newcomer(ADA, "Ada") }.decide(&Operators::default(), Timestamp::EPOCH).unwrap();
    assert!(stream.append(&again[0]).is_err());
    assert_eq!(created.iter().count(), 2);
}
