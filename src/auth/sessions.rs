//! The sessions of this node, in memory only: whoever reads the ledger or the disk finds none of them.
//!
//! - A token is 256 random bits that its browser keeps; here only its digest is, so that nothing of this table
//!   opens anything.
//! - A session ends when it was idle for too long, when it is too old, and with the process. Whether somebody
//!   ended it is for the ledger to say: see [`Operators::in_session`](nemo_projections::Operators::in_session).
//! - Bounded: the one that was idle longest makes room.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nemo_events::{Digest, OperatorId, Revision, SessionId};
use zeroize::Zeroizing;

use super::token::{CannotGenerate, random_digits};

const DOMAIN: &[u8] = b"nemo/session/v1";
/// 256 bits and a little more.
const TOKEN_DIGITS: usize = 43;
/// 190 bits.
const CSRF_DIGITS: usize = 32;
/// Sessions that one person may have at a time.
const MOST_OF_ONE: usize = 16;
/// Sessions that there may be at a time.
const MOST: usize = 4_096;

/// All sessions of this node.
#[derive(Debug)]
pub struct Sessions {
    idle: Duration,
    longest: Duration,
    open: Mutex<HashMap<Digest, Session>>,
}

/// A session, as its browser's requests find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Tells it from others, and opens nothing.
    pub id: SessionId,
    /// Whose it is.
    pub operator: OperatorId,
    /// The revision of the `operators` stream at which it began.
    pub began: Revision,
    /// What every write must repeat, so that no other site can make one.
    pub csrf: String,
    used: Instant,
    until: Instant,
}

/// What a browser keeps.
pub struct Token(Zeroizing<String>);

/// Whether a request shows that somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Somebody does something.
    Person,
    /// A page looks for news by itself.
    Background,
}

impl Token {
    /// The text, for the one reply that sets the cookie.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl Sessions {
    /// None yet; each ends after so long without anybody there, and after so long in all.
    #[must_use]
    pub fn new(idle: Duration, longest: Duration) -> Self {
        Self { idle, longest, open: Mutex::default() }
    }

    /// Opens a session that the ledger has written down.
    ///
    /// # Errors
    /// [`CannotGenerate`] if the operating system gives no randomness.
    pub fn open(
        &self,
        id: SessionId,
        operator: OperatorId,
        began: Revision,
        now: Instant,
    ) -> Result<Token, CannotGenerate> {
        let token = Token(random_digits(TOKEN_DIGITS)?);
        let csrf = random_digits(CSRF_DIGITS)?.as_str().to_owned();
        let session = Session { id, operator, began, csrf, used: now, until: now + self.longest };
        let mut open = self.lock();
        open.retain(|_, session| self.is_alive(session, now));
        make_room(&mut open, MOST_OF_ONE, |session| session.operator == operator);
        make_room(&mut open, MOST, |_| true);
        open.insert(digest(token.expose_secret()), session);
        Ok(token)
    }

    /// The session of a token, if it goes on.
    #[must_use]
    pub fn find(&self, token: &str, activity: Activity, now: Instant) -> Option<Session> {
        let (mut open, digest) = (self.lock(), digest(token));
        let session = open.get_mut(&digest)?;
        if !self.is_alive(session, now) {
            open.remove(&digest);
            return None;
        }
        if activity == Activity::Person {
            session.used = now;
        }
        Some(session.clone())
    }

    /// Forgets a session.
    pub fn forget(&self, id: SessionId) {
        self.lock().retain(|_, session| session.id != id);
    }

    /// Forgets those that somebody ended: `goes_on` asks the ledger.
    pub fn sweep(&self, now: Instant, goes_on: impl Fn(&Session) -> bool) {
        self.lock().retain(|_, session| self.is_alive(session, now) && goes_on(session));
    }

    /// How many an operator has.
    #[must_use]
    pub fn count_of(&self, operator: OperatorId, now: Instant) -> usize {
        let open = self.lock();
        open.values().filter(|session| session.operator == operator && self.is_alive(session, now)).count()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self, now: Instant) -> usize {
        self.lock().values().filter(|session| self.is_alive(session, now)).count()
    }

    fn is_alive(&self, session: &Session, now: Instant) -> bool {
        now < session.until && now.saturating_duration_since(session.used) < self.idle
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out whichever was idle longest until there is room for one more among these.
fn make_room(open: &mut HashMap<Digest, Session>, most: usize, among: impl Fn(&Session) -> bool) {
    while open.values().filter(|session| among(session)).count() >= most {
        let candidates = open.iter().filter(|(_, session)| among(session));
        let Some(oldest) = candidates.min_by_key(|(_, session)| session.used).map(|(digest, _)| *digest)
        else {
            return;
        };
        open.remove(&oldest);
    }
}

fn digest(token: &str) -> Digest {
    Digest::of_fields(DOMAIN, &[token.as_bytes()])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use uuid::Uuid;

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(600);

    fn open(sessions: &Sessions, n: u128, operator: u128, now: Instant) -> Token {
        let (id, operator) = (Uuid::from_u128(n), Uuid::from_u128(operator));
        sessions.open(SessionId::from_uuid(id), OperatorId::from_uuid(operator), Revision(1), now).unwrap()
    }

    #[test]
    fn a_session_is_found_by_its_token_and_by_nothing_else() {
        let (sessions, now) = (Sessions::new(IDLE, LONGEST), Instant::now());
        let (one, two) = (open(&sessions, 1, 1, now), open(&sessions, 2, 1, now));
        assert_ne!(one.expose_secret(), two.expose_secret());
        let found = |text: &str| sessions.find(text, Activity::Person, now);
        assert_eq!(found(one.expose_secret()).unwrap().id, SessionId::from_uuid(Uuid::from_u128(1)));
        assert_ne!(found(one.expose_secret()).unwrap().csrf, found(two.expose_secret()).unwrap().csrf);
        assert!(found("").is_none() && found(&one.expose_secret()[1..]).is_none());
        assert!(!format!("{sessions:?}").contains(one.expose_secret()));
    }

    #[test]
    fn a_session_ends_when_nobody_is_there_and_when_it_is_too_old() {
        let (sessions, start) = (Sessions::new(IDLE, LONGEST), Instant::now());
        let token = open(&sessions, 1, 1, start);
        let found = |activity, at: Duration| sessions.find(token.expose_secret(), activity, start + at);
        let mut at = Duration::ZERO;
        while at + IDLE / 2 < LONGEST {
            at += IDLE / 2;
            assert!(found(Activity::Person, at).is_some(), "{at:?}");
        }
        assert!(found(Activity::Person, LONGEST).is_none(), "too old, however busy");
        let token = open(&sessions, 2, 1, start);
        let found = |activity, at: Duration| sessions.find(token.expose_secret(), activity, start + at);
        assert!(found(Activity::Background, IDLE / 2).is_some());
        assert!(found(Activity::Background, IDLE).is_none(), "a page alone keeps no session");
        assert_eq!(sessions.count(start + IDLE), 0);
    }

    #[test]
    fn many_logins_of_one_person_take_no_room_from_others() {
        let (sessions, start) = (Sessions::new(IDLE, LONGEST), Instant::now());
        let other = open(&sessions, 1, 2, start);
        let first = open(&sessions, 2, 1, start);
        for n in 0..100 {
            open(&sessions, 100 + n, 1, start + Duration::from_millis(1));
        }
        let now = start + Duration::from_millis(2);
        assert_eq!(sessions.count_of(OperatorId::from_uuid(Uuid::from_u128(1)), now), MOST_OF_ONE);
        assert!(sessions.find(other.expose_secret(), Activity::Person, now).is_some());
        assert!(sessions.find(first.expose_secret(), Activity::Person, now).is_none());
    }

    #[test]
    fn what_the_ledger_ended_is_swept() {
        let (sessions, now) = (Sessions::new(IDLE, LONGEST), Instant::now());
        let (one, two) = (open(&sessions, 1, 1, now), open(&sessions, 2, 2, now));
        sessions.sweep(now, |session| session.operator == OperatorId::from_uuid(Uuid::from_u128(2)));
        assert!(sessions.find(one.expose_secret(), Activity::Person, now).is_none());
        assert!(sessions.find(two.expose_secret(), Activity::Person, now).is_some());
        sessions.forget(SessionId::from_uuid(Uuid::from_u128(2)));
        assert_eq!(sessions.count(now), 0);
    }
}
