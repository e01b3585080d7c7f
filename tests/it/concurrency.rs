//! Many callers at once on few keys: exactly as many calls are made as their holds fit, whoever is refused is
//! told the truth about why, and who waits as told gets what is left (I1).

#[cfg_attr(not(feature = "failpoints"), allow(dead_code, reason = "the crash tests need all of it"))]
pub(crate) mod account;

use std::time::Duration;

use futures_util::future::join_all;
use nemo_test_stores::on_each_store;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, Key, Nemo, PATIENCE, Setup};
use account::Account;

/// Callers of the key that everybody wants.
const CROWD: usize = 64;
/// A tenth of this is a whole number of tokens.
const OUTPUT_LIMIT: u64 = 50;

/// What one call holds, and what makes the provider bill exactly that.
struct Sample {
    hold: i128,
    input_tokens: u64,
}

/// Every call of these tests has the same size, so one call tells what all of them hold.
async fn sample(nemo: &Nemo) -> Sample {
    let key = nemo.rich_key().await;
    key.chat(wish(0)).await.ok();
    let call = key.only_call().await;
    let input_tokens = call.authorized["hold"]["input_tokens"].as_u64().unwrap();
    Sample { hold: call.hold(), input_tokens }
}

/// Every second caller streams.
fn wish(caller: usize) -> Value {
    json!({ "max_tokens": OUTPUT_LIMIT, "stream": caller % 2 == 1 })
}

fn is_whole(answer: &Answer) -> bool {
    answer.status == 200
        && (answer.header("x-nemo-cost").is_some() || answer.text().ends_with("data: [DONE]\n\n"))
}

async fn key_with(nemo: &Nemo, limit: i128) -> Key {
    nemo.key(json!({"budgets": [{"window": "total", "limit": dollars(limit)}]})).await
}

fn dollars(nanos: i128) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// Nothing was ever authorised that did not fit, and the key has exactly these ended calls. The account.
async fn never_overshot(key: &Key, calls: usize, charged: i128) -> Account {
    key.books_balance().await;
    let account = Account::of(&key.events().await);
    assert!(account.broken.is_empty(), "{:?}", account.broken);
    assert_eq!((account.calls.len(), account.settled, account.held), (calls, charged, 0));
    account
}

/// A key, how many want it at once, how many of them get through, and what the others are told.
struct Rush {
    key: Key,
    callers: usize,
    fits: usize,
    others: (u16, &'static str),
}

impl Rush {
    fn refused(&self) -> usize {
        self.callers - self.fits
    }
}

/// All callers of all keys ask at once, and whoever gets through stays there until all others have been
/// refused. Exactly as many get through as fit.
async fn rush(nemo: &Nemo, rushes: &[Rush]) {
    let before = nemo.provider().request_count();
    nemo.provider().hold_at(Phase::Received);
    let (sender, mut answers) = mpsc::unbounded_channel();
    for (index, rush) in rushes.iter().enumerate() {
        for caller in 0..rush.callers {
            let (key, sender) = (rush.key.clone(), sender.clone());
            tokio::spawn(async move { sender.send((index, key.chat(wish(caller)).await)) });
        }
    }
    drop(sender);
    let (refused, fits) = (rushes.iter().map(Rush::refused).sum(), rushes.iter().map(|rush| rush.fits).sum());
    let mut refusals = vec![0; rushes.len()];
    for (index, answer) in next(&mut answers, refused).await {
        let (status, code) = rushes[index].others;
        answer.refused(status, code);
        // What a wait may mend says how long to wait.
        assert_eq!(
            (answer.header("retry-after").is_some(), answer.forbids_retry()),
            (status == 429, status != 429)
        );
        refusals[index] += 1;
    }
    assert_eq!(refusals, rushes.iter().map(Rush::refused).collect::<Vec<_>>());
    nemo.provider().until_held(Phase::Received, fits).await.unwrap();
    nemo.provider().release();
    assert!(next(&mut answers, fits).await.iter().all(|(_, answer)| is_whole(answer)));
    assert!(answers.recv().await.is_none());
    assert_eq!(nemo.provider().request_count() - before, fits, "nobody else got to the provider");
}

type Answers = mpsc::UnboundedReceiver<(usize, Answer)>;

async fn next(answers: &mut Answers, count: usize) -> Vec<(usize, Answer)> {
    let mut next = Vec::new();
    while next.len() < count {
        let answer = tokio::time::timeout(PATIENCE, answers.recv()).await;
        next.push(answer.expect("as many answers as that").expect("a caller did not panic"));
    }
    next
}

#[on_each_store]
async fn as_many_calls_are_made_as_holds_fit_and_everybody_else_is_refused() {
    let nemo = Setup::default().calls("held_wait_secs = 0").start().await;
    let Sample { hold, input_tokens } = sample(&nemo).await;
    nemo.provider().script(Behaviour::full_hold(input_tokens));
    let mut rushes = Vec::new();
    for (callers, fits) in [(CROWD, 10), (8, 1), (8, 3), (4, 0)] {
        // All but a nano-dollar of another hold.
        let key = key_with(&nemo, hold * (fits as i128 + 1) - 1).await;
        let others = if fits == 0 { (402, "budget_exceeded") } else { (429, "budget_held") };
        rushes.push(Rush { key, callers, fits, others });
    }
    rush(&nemo, &rushes).await;
    for Rush { key, callers, fits, .. } in rushes {
        // Nothing is held any more, and nothing else fits: those who waited as told find that out.
        let late = join_all((fits..callers).map(|caller| key.chat(wish(caller)))).await;
        assert!(late.iter().all(|answer| answer.refused(402, "budget_exceeded").forbids_retry()));
        never_overshot(&key, fits, hold * fits as i128).await;
        assert_eq!(key.provider_bill(), hold * fits as i128);
    }
}

#[on_each_store]
async fn limits_of_calls_at_a_time_and_of_requests_a_minute_hold_in_a_crowd() {
    let nemo = Nemo::start().await;
    let budget = json!([{"window": "total", "limit": "10"}]);
    let few = nemo.key(json!({"budgets": budget, "concurrent_calls": 5})).await;
    let slow = nemo.key(json!({"budgets": budget, "requests_per_minute": 2})).await;
    let rushes = [
        Rush { key: few, callers: CROWD, fits: 5, others: (429, "concurrency_limit_exceeded") },
        Rush { key: slow, callers: CROWD, fits: 2, others: (429, "rate_limit_exceeded") },
    ];
    rush(&nemo, &rushes).await;
    rushes[0].key.chat(wish(0)).await.ok();
    rushes[1].key.chat(wish(0)).await.refused(429, "rate_limit_exceeded");
    assert_eq!(rushes[0].key.books_balance().await.len(), 6);
    assert_eq!(rushes[1].key.books_balance().await.len(), 2);
}

#[on_each_store]
async fn who_waits_as_told_gets_through_if_the_sum_fits() {
    let nemo = Nemo::start().await;
    let Sample { hold, input_tokens } = sample(&nemo).await;
    nemo.provider().script(Behaviour::tenth_of_hold(input_tokens).each_chunk_after(Duration::from_millis(1)));
    let tenth = nemo.rich_key().await;
    tenth.chat(wish(0)).await.ok();
    let tenth = tenth.only_call().await.charged();
    assert!(tenth < hold / 9);
    // The last call needs its whole hold free while all the others are spent.
    let fits = |calls: usize| tenth * (calls as i128 - 1) + hold;
    let hot = key_with(&nemo, fits(CROWD)).await;
    let (warm, short) = (key_with(&nemo, fits(8)).await, key_with(&nemo, fits(16) - 1).await);
    let served = tokio::join!(persist(&hot, CROWD), persist(&warm, 8), persist(&short, 16));
    assert_eq!(served, (CROWD, 8, 15), "a nano-dollar less, and the last one does not fit");
    for (key, calls) in [(&hot, CROWD), (&warm, 8), (&short, 15)] {
        never_overshot(key, calls, tenth * calls as i128).await;
        assert_eq!(key.provider_bill(), tenth * calls as i128);
    }
}

/// So many callers at once, each of which waits as long as it is told to; how many got through. All others
/// end with 402.
async fn persist(key: &Key, callers: usize) -> usize {
    let served = join_all((0..callers).map(|caller| persist_as(key, caller))).await;
    served.into_iter().filter(|served| *served).count()
}

async fn persist_as(key: &Key, caller: usize) -> bool {
    loop {
        let answer = key.chat(wish(caller)).await;
        match answer.status {
            200 => {
                assert!(is_whole(&answer), "{}", answer.text());
                return true;
            }
            429 => {
                answer.refused(429, "budget_held");
                let told: u64 = answer.header("retry-after").expect("says when").parse().unwrap();
                // Nobody waits to the millisecond; if all did, most would meet again.
                tokio::time::sleep(Duration::from_secs(told) + Duration::from_millis(13 * caller as u64))
                    .await;
            }
            _ => {
                answer.refused(402, "budget_exceeded");
                return false;
            }
        }
    }
}
