//! What another provider of the same model, or the same one a moment later, can mend: each attempt is a call of its
//! own, made only where the one before cost nothing, and never more often than allowed.

mod bounds;
mod in_between;
mod turns;

use serde_json::{Value, json};

use crate::fake_provider::{Behaviour, FakeProvider, UsdPerMillion};
use crate::harness::{Answer, Call, INPUT, Key, Nemo, OUTPUT, Setup};

/// What a call of these tests costs at `fake` and at `second`; it is double at `third`.
const PLAIN: i128 = 9 * INPUT + 7 * OUTPUT;

/// A gateway whose models are served by its own provider, then by `second`, then by `third`, which is dearer.
struct Pool {
    nemo: Nemo,
    second: FakeProvider,
    third: FakeProvider,
}

impl Pool {
    async fn start() -> Pool {
        Pool::with(Setup::default()).await
    }

    /// None of its providers is asked after the others because of what it said before.
    async fn with(setup: Setup) -> Pool {
        Pool::resting(setup.calls("rest_at_most_secs = 0")).await
    }

    async fn resting(setup: Setup) -> Pool {
        let (second, third) = (FakeProvider::start().await, FakeProvider::start().await);
        let price = UsdPerMillion { input: "2.50", cached: "1.25", output: "10" };
        second.set_price_of_others(price);
        third.set_price_of_others(UsdPerMillion { input: "5", cached: "2.50", output: "20" });
        let entry = |name: &str, catalogue: &str, provider: &FakeProvider| {
            format!(
                "[[providers]]\nname = \"{name}\"\nbase_url = \"{}\"\napi_key_env = \"OTHER_KEY\"\n\
                 catalogue = \"{catalogue}\"\nmodels = [\"gpt-*\"]\n",
                provider.base_url()
            )
        };
        let dearer = "[[prices]]\nprovider = \"dear\"\nmodel = \"gpt-test\"\ninput = \"5\"\noutput = \"20\"\n\
                      context_window = 128000\nmax_output_tokens = 16384\n";
        let more = entry("second", "fake", &second) + &entry("third", "dear", &third) + dearer;
        let nemo = setup.env("OTHER_KEY", FakeProvider::KEY).more(&more).start().await;
        for provider in [nemo.provider(), &second, &third] {
            provider.script(Behaviour::success(9, 7));
        }
        Pool { nemo, second, third }
    }

    /// Requests that each of the three was sent.
    fn asked(&self) -> [usize; 3] {
        [self.nemo.provider(), &self.second, &self.third].map(FakeProvider::request_count)
    }

    /// Nothing is open, each provider billed for the key no more than its calls there were charged, and the ledger
    /// is whole.
    async fn books_balance(&self, key: &Key) -> Vec<Call> {
        let calls = key.ended_calls().await;
        for (name, provider) in
            [("fake", self.nemo.provider()), ("second", &self.second), ("third", &self.third)]
        {
            let bill = provider.until_settled().await.unwrap().for_user(key.id());
            let charged: i128 =
                calls.iter().filter(|call| call.authorized["provider"] == name).map(Call::charged).sum();
            assert!(bill <= charged, "{name} billed {bill}, charged {charged}: {calls:?}");
        }
        assert_eq!(key.charged().await, calls.iter().map(Call::charged).sum::<i128>());
        calls
    }
}

/// Sends a request, streaming or not; its answer, the tail of a stream included.
async fn ask(key: &Key, streams: bool) -> Answer {
    key.chat(json!({ "stream": streams })).await
}

/// The providers that a request's calls went to, with how each ended. All are of one request, numbered from 1.
#[track_caller]
fn ends(calls: &[Call]) -> Vec<(&str, &str)> {
    for (number, call) in (1_u64..).zip(calls) {
        assert_eq!(call.authorized["attempt"], number, "{calls:?}");
        assert_eq!(call.authorized["request"], calls[0].authorized["request"], "{calls:?}");
    }
    calls.iter().map(|call| (call.authorized["provider"].as_str().unwrap(), call.end.as_str())).collect()
}

const VOIDED: &str = "CallVoided";
const SETTLED: &str = "CallSettled";

/// The value of a counter of the metrics with these labels; 0 where it was never counted.
async fn counted(nemo: &Nemo, name: &str, labels: &[(&str, &str)]) -> u64 {
    let page = Answer::of(nemo.http().get(nemo.url("/metrics"))).await;
    let is_it = |line: &&str| {
        line.starts_with(name)
            && labels.iter().all(|(name, value)| line.contains(&format!("{name}=\"{value}\"")))
    };
    let line = page.text().lines().find(is_it).map(str::to_owned);
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn total(limit: &str) -> Value {
    json!({ "budgets": [{ "window": "total", "limit": limit }] })
}
