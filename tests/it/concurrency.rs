//! Many callers at once on few keys: exactly as many calls are made as their holds fit, whoever is refused is
//! told the truth about why, and who waits as told gets what is left (I1).

pub(crate) mod account;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, Call, Key, Nemo};
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
    answer.status == 200 && (answer.header("x-nemo-cost").is_some() || answer.text().ends_with("data: [DONE]\n\n"))
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

/// A key whose budget takes so many holds and all but one nano-dollar of another, and those who want it.
struct Rush {
    key: Key,
    fits: usize,
    callers: usize,
}

#[tokio::test]
async fn as_many_calls_are_made_as_holds_fit_and_everybody_else_is_refused() {
    let nemo = Nemo::start().await;
    let Sample { hold, input_tokens } = sample(&nemo).await;
    nemo.provider().script(Behaviour::full_hold(input_tokens));
    let mut rushes = Vec::new();
    for (fits, callers) in [(10, CROWD), (1, 8), (3, 8), (0, 4)] {
        let fits_not = hold - 1;
        let key = key_with(&nemo, hold * fits as i128 + fits_not).await;
        rushes.push(Rush { key, fits, callers });
    }
    let before = nemo.provider().request_count();
    // Whoever gets through stays there until everybody has asked.
    nemo.provider().hold_at(Phase::Received);
    let all: usize = rushes.iter().map(|rush| rush.fits).sum();
    let asking = join_all(rushes.iter().map(ask_once));
    let opening = async {
        nemo.provider().until_held(Phase::Received, all).await.unwrap();
        until_refused(&rushes).await;
        assert_eq!(nemo.provider().request_count() - before, all);
        nemo.provider().release();
    };
    let (answers, ()) = tokio::join!(asking, opening);
    for (rush, answers) in rushes.iter().zip(answers) {
        tell_the_truth(rush, &answers);
        // Nothing is held any more, and nothing else fits: waiting is of no use.
        rush.key.chat(wish(0)).await.refused(402, "budget_exceeded");
        rush.key.chat(wish(1)).await.refused(402, "budget_exceeded");
        never_overshot(&rush.key, rush.fits, hold * rush.fits as i128).await;
        assert_eq!(rush.key.provider_bill(), hold * rush.fits as i128);
    }
    assert_eq!(nemo.provider().request_count() - before, all, "nobody else got to the provider");
}

async fn ask_once(rush: &Rush) -> Vec<Answer> {
    join_all((0..rush.callers).map(|caller| rush.key.chat(wish(caller)))).await
}

/// Refusals are written with a key's next event, which here comes after the release: what tells that all of
/// them were made is that the callers have their answers. The holds stand still meanwhile.
async fn until_refused(rushes: &[Rush]) {
    for rush in rushes {
        let open = || async { (rush.key.shown().await["open_calls"]["count"] == rush.fits).then_some(()) };
        crate::harness::until("as many calls are open as fit", open).await;
    }
}

fn tell_the_truth(rush: &Rush, answers: &[Answer]) {
    let (made, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((made.len(), refused.len()), (rush.fits, rush.callers - rush.fits));
    assert!(made.into_iter().all(is_whole));
    for answer in refused {
        match answer.status {
            // The money was only held by then …
            429 => {
                answer.refused(429, "budget_held");
                assert!(answer.header("retry-after").is_some() && !answer.forbids_retry());
            }
            // … or spent.
            _ => assert!(answer.refused(402, "budget_exceeded").forbids_retry()),
        }
    }
}

#[tokio::test]
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
                tokio::time::sleep(Duration::from_secs(told) + Duration::from_millis(13 * caller as u64)).await;
            }
            _ => {
                answer.refused(402, "budget_exceeded");
                return false;
            }
        }
    }
}

#[tokio::test]
async fn calls_of_other_keys_do_not_wait_for_a_key_whose_budget_is_held() {
    let nemo = Nemo::start().await;
    let Sample { hold, input_tokens } = sample(&nemo).await;
    let (held, free) = (key_with(&nemo, hold).await, key_with(&nemo, 20 * hold).await);
    nemo.provider().hold_at(Phase::Received);
    let waiting = tokio::spawn({
        let held = held.clone();
        async move { held.chat(wish(0)).await }
    });
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    let crowd = join_all((0..CROWD).map(|caller| held.chat(wish(caller))));
    let (refused, ()) = tokio::join!(crowd, async {
        nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    });
    assert!(refused.iter().all(|answer| answer.code() == "budget_held"));
    nemo.provider().release();
    waiting.await.unwrap().ok();
    nemo.provider().script(Behaviour::full_hold(input_tokens));
    let made = join_all((0..20).map(|caller| free.chat(wish(caller)))).await;
    assert!(made.iter().all(is_whole));
    free.chat(wish(0)).await.refused(402, "budget_exceeded");
    never_overshot(&free, 20, 20 * hold).await;
    let calls: Vec<Call> = held.books_balance().await;
    assert_eq!(calls.len(), 1);
}
