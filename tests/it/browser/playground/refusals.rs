//! Every refusal, as somebody at the playground meets it.

use nemo::openapi::errors::CODES;
use serde_json::{Value, json};

use crate::browser::Story;
use crate::fake_provider::{At, Behaviour, How};
use crate::harness::{Key, Nemo};

async fn prepare(nemo: &Nemo, key: &Key, wanted: &str) {
    let limits = |more: Value| {
        let mut limits = json!({"budgets": [{"window": "total", "limit": "10"}]});
        limits.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        limits
    };
    nemo.provider().script(Behaviour::success(9, 7));
    match wanted {
        "key_blocked" => drop(key.tell("block", json!({})).await),
        "budget_exceeded" => {
            key.set_limits(limits(json!({"budgets": [{"window": "day", "limit": "0.0001"}]}))).await
        }
        "model_not_allowed" => key.set_limits(limits(json!({"models": ["gpt-house"]}))).await,
        "call_too_dear" => key.set_limits(limits(json!({"max_call_cost": "0.000001"}))).await,
        "tokens_above_rate" => key.set_limits(limits(json!({"tokens_per_minute": 10}))).await,
        "rate_limit_exceeded" => {
            key.set_limits(limits(json!({"requests_per_minute": 1}))).await;
            key.chat(json!({})).await;
        }
        "endpoint_not_allowed" => key.set_limits(limits(json!({"endpoints": []}))).await,
        "output_limit_too_high" => {}
        "provider_error" => nemo.provider().script(Behaviour::error(400)),
        "provider_unreachable" => nemo.provider().refuse(),
        "provider_failed" => {
            nemo.provider().script(Behaviour::success(9, 40).breaks(At::Chunk(3), How::Reset))
        }
        "key_expired" => key.set_limits(limits(json!({"expires_at": "2020-01-01T00:00:00Z"}))).await,
        "key_revoked" => drop(key.tell("revoke", json!({})).await),
        other => panic!("nobody knows how to bring about {other}"),
    }
}

async fn restore(nemo: &Nemo, key: &Key, wanted: &str) {
    if wanted == "provider_unreachable" {
        nemo.provider().resume();
    }
    if wanted == "key_blocked" {
        key.tell("unblock", json!({})).await;
    }
    if wanted != "key_revoked" {
        key.set_limits(json!({"budgets": [{"window": "total", "limit": "10"}]})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_told_with_its_cause_and_what_to_do() {
    let nemo = Nemo::start().await;
    let keys = [nemo.rich_key().await, nemo.rich_key().await, nemo.rich_key().await];
    let secrets: Vec<String> = keys.iter().map(Key::secret).collect();
    let real = [
        "key_blocked",
        "budget_exceeded",
        "model_not_allowed",
        "call_too_dear",
        "tokens_above_rate",
        "output_limit_too_high",
        "provider_error",
        "provider_unreachable",
        "provider_failed",
        "rate_limit_exceeded",
        "key_revoked",
    ];
    let codes: Vec<Value> =
        CODES.iter().map(|known| json!({"code": known.code, "status": known.status})).collect();
    let mut story =
        Story::start("playground-refusals", &nemo, json!({"keys": secrets, "real": real, "codes": codes}))
            .await;
    for wanted in real {
        story.until(&format!("bring about {wanted}")).await;
        let key = if wanted == "key_revoked" { &keys[1] } else { &keys[0] };
        prepare(&nemo, key, wanted).await;
        story.answer(json!({})).await;
        story.until("restore").await;
        restore(&nemo, key, wanted).await;
        story.answer(json!({})).await;
    }
    let told = story.end().await;
    assert!(told["codes"].as_u64().unwrap() > 30, "{told}");
}
