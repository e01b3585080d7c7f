//! Decoding what was encoded gives the event back, whatever its fields hold.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test should fail loudly")]

use nemo_events::key::{
    BoundBasis, BudgetAlertRaised, CallAuthorized, CallCorrected, CallSettled, CallsRefused, Client, Ending,
    Evidence, Hold, KeyCreated, KeyLimitsSet, KeySecret, KeySecretRotated, Labels, RefusalCount,
};
use nemo_events::limits::{Budget, Endpoint, KeyLimits, WhenShort, WindowKind};
use nemo_events::price::{PriceCard, PriceCardPublished, Rates, Tier, Tokenizer};
use nemo_events::{
    CallId, Digest, KeyEvent, Nanos, OrgId, PepperId, PriceCardId, PriceEvent, Rate, RequestId, Revision,
    Timestamp, Usage,
};
use proptest::prelude::*;
use uuid::Uuid;

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,20}", any::<String>()]
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(text())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..4)
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn money() -> impl Strategy<Value = Nanos> {
    prop_oneof![any::<i64>(), 0_i64..3_000_000_000, Just(i64::MIN), Just(i64::MAX)]
        .prop_map(Nanos::from_nanos)
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![(0_i64..4_000_000_000_000_000), any::<i64>()].prop_map(Timestamp::from_micros)
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn pepper() -> impl Strategy<Value = PepperId> {
    "[0-9A-Za-z._-]{1,32}".prop_map(|id| id.parse().unwrap())
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    prop::sample::select(vec![
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Responses,
        Endpoint::Embeddings,
        Endpoint::Messages,
        Endpoint::CountTokens,
    ])
}

fn address() -> impl Strategy<Value = ipnet::IpNet> {
    prop_oneof![
        (any::<[u8; 4]>(), 0_u8..=32).prop_map(|(ip, bits)| ipnet::IpNet::new(ip.into(), bits).unwrap()),
        (any::<[u8; 16]>(), 0_u8..=128).prop_map(|(ip, bits)| ipnet::IpNet::new(ip.into(), bits).unwrap()),
    ]
}

prop_compose! {
    fn labels()(name in text(), app in some_text(), job in some_text(), env in some_text(),
        cost_centre in some_text(), tags in texts()) -> Labels
    {
        Labels { name, app, job, env, cost_centre, tags }
    }
}

prop_compose! {
    fn budget()(window in prop::sample::select(WindowKind::ALL.to_vec()), limit in money(),
        alert_at_percent: Option<u8>) -> Budget
    {
        Budget { window, limit, alert_at_percent }
    }
}

prop_compose! {
    fn limits()(
        (budgets, unlimited, max_call_cost) in
            (prop::collection::vec(budget(), 0..5), any::<bool>(), prop::option::of(money())),
        (requests_per_minute, tokens_per_minute, concurrent_calls) in any::<(Option<u32>, Option<u64>, Option<u32>)>(),
        models in prop::option::of(texts()),
        endpoints in prop::option::of(prop::collection::vec(endpoint(), 0..7)),
        addresses in prop::option::of(prop::collection::vec(address(), 0..4)),
        expires_at in prop::option::of(time()),
        clamp: bool,
        (default_output_tokens, default_reasoning_output_tokens) in any::<(Option<u32>, Option<u32>)>(),
    ) -> KeyLimits {
        let when_short = if clamp { WhenShort::Clamp } else { WhenShort::Refuse };
        KeyLimits {
            budgets, unlimited, max_call_cost, requests_per_minute, tokens_per_minute, concurrent_calls, models,
            endpoints, addresses, expires_at, when_short, default_output_tokens, default_reasoning_output_tokens,
        }
    }
}

prop_compose! {
    fn secret()(version: u32, digest in digest(), pepper in pepper(), last_four in text()) -> KeySecret {
        KeySecret { version, digest, pepper, last_four }
    }
}

prop_compose! {
    fn usage()(n in prop::array::uniform14(prop_oneof![Just(0_u64), any::<u64>()])) -> Usage {
        Usage {
            input: n[0], cache_read: n[1], cache_write: n[2], cache_write_1h: n[3], input_audio: n[4],
            cache_read_audio: n[5], input_image: n[6], output: n[7], output_audio: n[8], output_image: n[9],
            reasoning: n[10], web_searches: n[11], file_searches: n[12], requests: n[13],
        }
    }
}

prop_compose! {
    fn hold()(amount in money(), input_amount in money(), input_tokens: u64, output_tokens: u64,
        basis in prop::sample::select(vec![BoundBasis::Bytes, BoundBasis::Tokenizer, BoundBasis::ContextWindow]))
        -> Hold
    {
        Hold { amount, input_amount, input_tokens, output_tokens, basis }
    }
}

prop_compose! {
    fn authorized()(
        (call, request) in (uuid(), uuid()),
        (attempt, secret_version, output_limit, labels_revision) in any::<(u32, u32, u64, u64)>(),
        endpoint in endpoint(),
        (model, provider, provider_model) in (text(), text(), text()),
        (price_card, hold, deadline) in (digest(), hold(), time()),
        (output_limit_set, streams, hidden_output, allotted) in any::<(bool, bool, bool, bool)>(),
        (address, user_agent) in (some_text(), some_text()),
        tags in texts(),
        (idempotency_key, body) in (prop::option::of(digest()), prop::option::of(digest())),
    ) -> CallAuthorized {
        CallAuthorized {
            call: CallId::from_uuid(call), request: RequestId::from_uuid(request), attempt, secret_version,
            endpoint, model, provider, provider_model, price_card: PriceCardId(price_card), hold, output_limit,
            output_limit_set, deadline, labels_revision: Revision(labels_revision),
            client: Client { address, user_agent }, tags, streams, hidden_output, idempotency_key, body,
            allotted,
        }
    }
}

prop_compose! {
    fn settled()(call in uuid(), usage in usage(), cost in money(), reported: bool,
        ending in prop::sample::select(vec![
            Ending::Completed, Ending::ClientLeft, Ending::ProviderFailed, Ending::TimedOut,
            Ending::DeadlineReached, Ending::KeyRevoked, Ending::Stopped,
        ]),
        over_hold: bool, provider_request in some_text(), status: Option<u16>, first_byte_ms: Option<u64>,
        duration_ms: u64) -> CallSettled
    {
        let evidence = if reported { Evidence::Reported } else { Evidence::Estimated };
        CallSettled {
            call: CallId::from_uuid(call), usage, cost, evidence, ending, over_hold, provider_request, status,
            first_byte_ms, duration_ms,
        }
    }
}

prop_compose! {
    fn corrected()(call in uuid(), charged_before in money(), charged in money(), ended_at: u64,
        authorized_at in time(), allotted: bool, usage in prop::option::of(usage()), reason in text())
        -> CallCorrected
    {
        let (call, ended_at) = (CallId::from_uuid(call), Revision(ended_at));
        CallCorrected { call, charged_before, charged, ended_at, authorized_at, allotted, usage, reason }
    }
}

prop_compose! {
    fn refused()(since in time(), counts in prop::collection::vec(
        (text(), some_text(), any::<Option<u64>>(), any::<u64>()), 0..5),
        alerts in prop::collection::vec(text(), 0..3)) -> CallsRefused
    {
        let count = |(code, address, other_addresses, count)| RefusalCount { code, address, other_addresses, count };
        CallsRefused { since, refusals: counts.into_iter().map(count).collect(), alerts }
    }
}

prop_compose! {
    fn alerted()(window in prop::sample::select(WindowKind::ALL.to_vec()), window_start in time(), limit in money(),
        percent: u8, settled in money()) -> BudgetAlertRaised
    {
        BudgetAlertRaised { window, window_start, limit, percent, settled }
    }
}

fn key_event() -> impl Strategy<Value = KeyEvent> {
    let created = (uuid(), labels(), limits(), secret()).prop_map(|(org, labels, limits, secret)| {
        KeyCreated { org: OrgId::from_uuid(org), labels, limits, secret }
    });
    let rotated = (secret(), time(), any::<bool>()).prop_map(|(secret, previous_valid_until, leaked)| {
        KeySecretRotated { secret, previous_valid_until, leaked }
    });
    prop_oneof![
        created.prop_map(KeyEvent::from),
        limits().prop_map(|limits| KeyLimitsSet { limits }.into()),
        rotated.prop_map(KeyEvent::from),
        authorized().prop_map(KeyEvent::from),
        settled().prop_map(KeyEvent::from),
        corrected().prop_map(KeyEvent::from),
        refused().prop_map(KeyEvent::from),
        alerted().prop_map(KeyEvent::from),
    ]
}

fn rates() -> impl Strategy<Value = Rates> {
    let rate = || any::<i64>().prop_map(Rate::from_nanos);
    let some = prop::array::uniform11(prop::option::of(rate()));
    (rate(), rate(), some).prop_map(|(input, output, n)| Rates {
        input,
        output,
        cache_read: n[0],
        cache_write: n[1],
        cache_write_1h: n[2],
        input_audio: n[3],
        cache_read_audio: n[4],
        input_image: n[5],
        output_audio: n[6],
        output_image: n[7],
        web_searches: n[8],
        file_searches: n[9],
        requests: n[10],
    })
}

prop_compose! {
    fn card()((provider, model, source) in (text(), text(), text()), rates in rates(),
        tiers in prop::collection::vec((any::<u64>(), rates()), 0..3),
        (context_window, max_output_tokens, reasoning) in any::<(u64, u64, bool)>(),
        tokenizer in prop::option::of(prop::sample::select(vec![Tokenizer::O200kBase, Tokenizer::Cl100kBase])))
        -> PriceCard
    {
        let tier = |(above_input_tokens, rates)| Tier { above_input_tokens, rates };
        PriceCard {
            provider, model, rates, tiers: tiers.into_iter().map(tier).collect(), context_window,
            max_output_tokens, reasoning, tokenizer, source,
        }
    }
}

proptest! {
    #[test]
    fn an_event_of_a_key_survives_its_bytes(event in key_event()) {
        let stored = event.encode().unwrap();
        let read = KeyEvent::decode(event.type_name(), event.version(), &stored).unwrap();
        prop_assert_eq!(&read, &event);
        prop_assert_eq!(read.encode().unwrap(), stored, "and is written the same again");
    }

    #[test]
    fn a_price_card_survives_its_bytes_and_keeps_its_name(card in card()) {
        let id = card.id().unwrap();
        let event = PriceEvent::from(PriceCardPublished { id, card });
        let stored = event.encode().unwrap();
        let PriceEvent::PriceCardPublished(read) = PriceEvent::decode("PriceCardPublished", 1, &stored).unwrap();
        prop_assert_eq!(read.card.id().unwrap(), id);
        prop_assert_eq!(PriceEvent::from(read), event);
    }
}
