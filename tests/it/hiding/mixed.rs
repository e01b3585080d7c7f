//! Many clients of every manner, two providers with every fault, keys with little money, all at once and at random. The
//! seed is told with a failure; `NEMO_TEST_SEED` repeats it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;

use super::*;
use crate::fake_provider::{At, How, Report, UsdPerMillion};

const KEYS: usize = 6;
const CLIENTS: u64 = 24;
const REQUESTS: u64 = 8;

/// Numbers that look random: SplitMix64.
#[derive(Clone, Copy)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }
}

/// Any fault but those that nobody could see: a provider that reports less than it bills, or goes on making what
/// nobody hears.
fn behaviour(mut dice: Dice) -> Behaviour {
    let output = 1 + dice.below(120);
    let honest = Behaviour::success(1 + dice.below(9), output).chunks(1 + dice.below(12));
    let at = [At::Read, At::Head, At::Chunk(1), At::Chunk(3), At::Inside(2), At::BeforeLast]
        [dice.below(6) as usize];
    let how = [How::Close, How::End, How::Reset][dice.below(3) as usize];
    match dice.below(16) {
        0 => Behaviour::error([400, 401, 404, 500, 503, 529][dice.below(6) as usize]),
        1 => Behaviour::rate_limited(dice.below(3)),
        2 => Behaviour::redirect(307),
        3 | 4 => honest.breaks(at, how),
        5 => honest.reports(Report::Nothing),
        6 => honest.reports(Report::Running).breaks(at, how),
        7 => honest.reports(Report::TwiceFirst(r#"{"prompt_tokens":1,"completion_tokens":1}"#.to_owned())),
        8 => honest.reports(Report::numbers("-1", "null")),
        9 => honest.error_event_after(2),
        10 => Behaviour::malformed_json(),
        11 => honest.split_every(1 + dice.below(40) as usize).comments(),
        12 => honest.in_tool_call().multibyte(),
        13 => honest.each_chunk_after(std::time::Duration::from_millis(dice.below(20))),
        _ => honest,
    }
}

/// One request of a client, in its own manner.
async fn client(nemo: &Nemo, key: &Key, mut dice: Dice) {
    let wish = json!({
        "stream": dice.below(2) == 1,
        "max_tokens": 120 + dice.below(200),
        "model": if dice.below(6) == 0 { "gpt-think" } else { "gpt-test" },
    });
    let manner = dice.below(7);
    if manner == 6 {
        // The body in pieces, and then perhaps not all of it.
        let (head, body) = bytes(nemo, key, wish);
        let mut raw = nemo.raw(format!("{head}connection: close\r\n\r\n")).await;
        let (some, rest) = body.split_at(body.len() / 2);
        raw.write(some).await;
        if dice.below(3) == 0 {
            return raw.reset();
        }
        raw.write(rest).await;
        raw.rest().await;
        return;
    }
    let mut raw = nemo.raw(last(nemo, key, wish)).await;
    match manner {
        0 => raw.reset(),
        1 => raw.hang_up().await,
        2 | 3 => {
            raw.read_some().await;
            if dice.below(2) == 0 { raw.reset() } else { raw.hang_up().await }
        }
        4 => {
            raw.close_half().await;
            raw.rest().await;
        }
        _ => {
            raw.rest().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_at_once_every_bill_is_covered_and_no_limit_is_passed() {
    let seed = std::env::var("NEMO_TEST_SEED").map_or(20_261_122, |seed| seed.parse().unwrap());
    println!("NEMO_TEST_SEED={seed}");
    let second = FakeProvider::start().await;
    second.set_price_of_others(UsdPerMillion { input: "2.50", cached: "1.25", output: "10" });
    let other = format!(
        "[[providers]]\nname = \"second\"\nbase_url = \"{}\"\napi_key_env = \"OTHER_KEY\"\ncatalogue = \"fake\"\n\
         models = [\"gpt-*\"]\nfirst_byte_timeout_secs = 1\nidle_timeout_secs = 1\n",
        second.base_url()
    );
    let setup = Setup::default().provider("first_byte_timeout_secs = 1\nidle_timeout_secs = 1");
    let setup =
        setup.calls("unknown_ends_at_most = 0\nheld_wait_secs = 1\nretries_at_most = 1\nretry_wait_secs = 1");
    let nemo = setup.env("OTHER_KEY", FakeProvider::KEY).more(&other).start().await;
    let turn = Arc::new(AtomicU64::new(seed));
    for provider in [nemo.provider(), &second] {
        let turn = Arc::clone(&turn);
        provider.script_by(move |_| behaviour(Dice(turn.fetch_add(1, Ordering::SeqCst))));
    }
    let mut keys = Vec::new();
    for cents in 1..=KEYS {
        // From three calls at a time to nearly all of them.
        let limit = format!("0.{:02}", 2 * cents);
        keys.push(
            nemo.key(json!({"budgets": [{"window": "total", "limit": limit}], "concurrent_calls": 8})).await,
        );
    }
    let load = (0..CLIENTS).map(|number| {
        let (nemo, keys) = (&nemo, &keys);
        async move {
            for request in 0..REQUESTS {
                let mut dice = Dice(seed ^ (number << 32) ^ (request << 48));
                let key = &keys[dice.below(KEYS as u64) as usize];
                client(nemo, key, dice).await;
            }
        }
    });
    join_all(load).await;
    until("no request is running", || async {
        (nemo.ask("/api/ledger").await["running_calls"] == 0).then_some(())
    })
    .await;
    let (mut ends, mut again) = (std::collections::BTreeMap::<String, usize>::new(), 0);
    for key in &keys {
        for call in nothing_is_hidden(key, &[nemo.provider(), &second]).await {
            again += usize::from(call.authorized["attempt"].as_u64() > Some(1));
            *ends.entry(call.end).or_default() += 1;
        }
    }
    // The story is worth telling only if all of it happened.
    println!("{ends:?}, {again} of them further attempts");
    assert!(ends.len() == 3 && again > 0, "{ends:?}, {again}");
    verified(&nemo).await;
}
