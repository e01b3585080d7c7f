//! Looking at a ledger after a kill: while it runs again, and in its store once it was killed for good.

use std::collections::HashMap;
use std::fmt;

use nemo_events::StreamName;
use nemo_store::MAX_PAGE;
use reqwest::Method;
use serde_json::{Value, json};

use super::Series;
use crate::concurrency::account::{Account, Broken, Promise};
use crate::crash::books::audit;
use crate::crash::load::{Load, Managed, STEPS};
use crate::harness::{Answer, Nemo};

/// How often a managed key is looked at before it counts as wrong.
const LOOKS: usize = 3;

/// What was in the ledger in the end, and what callers were told meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Ledger {
    keys: usize,
    events: usize,
    calls: usize,
    /// Calls that were open in a crash.
    orphaned: usize,
    /// Answers that arrived to their last byte.
    whole: usize,
    /// Calls that a budget refused.
    refused: usize,
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ledger { keys, events, calls, orphaned, whole, refused } = self;
        write!(f, "{events} events of {keys} keys; {calls} calls, {orphaned} of them open in a crash, ")?;
        write!(f, "{whole} whole answers; {refused} more were refused")
    }
}

impl Series {
    /// Keeps what came of a load.
    pub(super) fn remember(&mut self, load: Load) {
        let first = self.books.get_mut(self.keys[0].id()).unwrap();
        first.relabelled.0 += load.relabelled.0;
        first.relabelled.1 += load.relabelled.1;
        for told in load.told {
            self.books.get_mut(&told.key).unwrap().told.push(told);
        }
        self.managed.extend(load.managed);
    }

    /// Looks at the keys in use, and replaces those that are used up.
    pub(in crate::crash) async fn check(&mut self) {
        self.look_at_provider();
        let bill = self.nemo.provider().bill().by_user();
        let mut used_up = Vec::new();
        for (at, key) in self.keys.iter().enumerate() {
            let account = Account::of(&key.events().await);
            let book = &self.books[key.id()];
            self.broken.extend(audit(book, &account, &bill));
            if key.charged().await != account.settled {
                let what = format!(
                    "{} is charged {}, its events say {}",
                    key.id(),
                    key.charged().await,
                    account.settled
                );
                self.broken.push(Broken(Promise::Truth, what));
            }
            if book.told.iter().any(|told| told.code.as_deref() == Some("budget_exceeded")) {
                used_up.push(at);
            }
        }
        for managed in self.managed.split_off(self.managed_looked_at) {
            self.check_managed(&managed).await;
            self.managed.push(managed);
        }
        self.managed_looked_at = self.managed.len();
        self.replace(used_up).await;
    }

    /// Kills it for good, verifies what its store has, and looks at every key that ever was.
    pub(crate) async fn close(&mut self) -> Ledger {
        self.nemo.kill9().await;
        let verified = self.nemo.verify();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        let (accounts, events) = accounts_in_store(&self.nemo).await;
        let bill = self.nemo.provider().bill().by_user();
        for (id, book) in &self.books {
            self.broken.extend(audit(book, &accounts[id], &bill));
        }
        for managed in &self.managed {
            if !is_as_told(managed, &accounts[&managed.id].kinds) {
                self.broken
                    .push(Broken(Promise::Truth, format!("{managed:?}: {:?}", accounts[&managed.id].kinds)));
            }
        }
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
        let calls = || accounts.values().flat_map(|account| account.calls.values());
        let told = || self.books.values().flat_map(|book| &book.told);
        Ledger {
            keys: accounts.len(),
            events,
            calls: calls().count(),
            orphaned: calls().filter(|call| call.orphaned).count(),
            whole: told().filter(|told| told.whole).count(),
            refused: told().filter(|told| matches!(told.status, Some(402 | 429))).count(),
        }
    }

    fn look_at_provider(&mut self) {
        let requests = self.nemo.provider().requests();
        for request in &requests[self.looked_at..] {
            let marker = request.json()["user"].as_str().unwrap().to_owned();
            let key = marker.split('/').next().unwrap();
            self.books.get_mut(key).unwrap().seen.push(marker);
        }
        self.looked_at = requests.len();
    }

    /// A key that a manager was at work on is as far as he was told, and does what it should by then. What he
    /// was not told of may still be on its way.
    async fn check_managed(&mut self, managed: &Managed) {
        let mut looks = Vec::new();
        for _ in 0..LOOKS {
            let (kinds, status) = self.look_at_managed(managed).await;
            let expected = if kinds.len() == STEPS.len() { 401 } else { 200 };
            if is_as_told(managed, &kinds) && status == expected {
                return;
            }
            looks.push(format!("{kinds:?}, and its key gets {status}"));
        }
        self.broken.push(Broken(Promise::Truth, format!("{managed:?}: {looks:?}")));
    }

    async fn look_at_managed(&self, managed: &Managed) -> (Vec<String>, u16) {
        let (id, http) = (&managed.id, self.nemo.http());
        let told = self.nemo.manage(Method::GET, &format!("/api/keys/{id}/events"), Value::Null).await;
        let events = if told.status == 200 { told.json()["events"].take() } else { json!([]) };
        let kind = |event: &Value| event["type"].as_str().unwrap().to_owned();
        let kinds: Vec<String> = events.as_array().unwrap().iter().map(kind).collect();
        let answer = Answer::of(http.get(self.nemo.url("/v1/key")).bearer_auth(&managed.secret)).await;
        (kinds, answer.status)
    }
}

/// What was acknowledged is there, in its order, and nothing but what was asked for.
fn is_as_told(managed: &Managed, kinds: &[String]) -> bool {
    (managed.acknowledged..=managed.asked).contains(&kinds.len())
        && STEPS.iter().zip(kinds).all(|(a, b)| a == b)
}

/// Every key's account, by id, folded from the store's own bytes; and how many events there are in all.
async fn accounts_in_store(nemo: &Nemo) -> (HashMap<String, Account>, usize) {
    let store = nemo.open_store().await;
    let (mut accounts, mut after, mut events) = (HashMap::<String, Account>::new(), None, 0);
    loop {
        let page = store.read_all(after, MAX_PAGE).await.unwrap();
        let Some(last) = page.last() else { break };
        (after, events) = (Some(last.position), events + page.len());
        for event in page.iter().map(|record| &record.event) {
            if let StreamName::Key(id) = event.stream {
                let data = serde_json::from_slice(&event.data).unwrap();
                accounts.entry(id.to_string()).or_default().take(&event.event_type, &data);
            }
        }
    }
    store.close().await;
    (accounts, events)
}
