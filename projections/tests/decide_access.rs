//! Who may call what from where: the guards before any money is looked at.

use std::net::IpAddr;

use nemo_events::key::{Client, KeySecretRotated};
use nemo_events::limits::{Endpoint, KeyLimits};
use nemo_events::{Digest, KeyEvent};
use nemo_projections::Refusal;
use nemo_projections::decide::{Authorize, Block, PresentedSecret, Revoke, Unblock};
use nemo_projections::org::Standing;
use nemo_projections::refusal::PriceRefusal;
use nemo_projections::repeat::Once;
use nemo_projections::testing::{KeyHistory, given};

use crate::support::{
    admits, ask, asking, at, call, card, created, granted, key, later, noon, presented, priced, reported,
    secret, unlimited, with_card,
};

#[test]
fn an_authorisation_records_what_was_asked_and_what_was_granted() {
    let command = Authorize {
        attempt: 2,
        client: Client { address: Some("203.0.113.7".to_owned()), user_agent: Some("curl/8".to_owned()) },
        tags: vec!["playground".to_owned()],
        streams: true,
        once: vec![Once { key: Digest::of(b"idempotency"), body: Digest::of(b"body") }],
        ..call(1)
    };
    let event = granted(&key(unlimited()), &command, noon());
    assert_eq!((event.call, event.request, event.attempt), (command.call, command.request, 2));
    assert_eq!((event.secret_version, event.endpoint), (1, Endpoint::ChatCompletions));
    assert_eq!(event.model, "large");
    assert_eq!((event.provider.as_str(), event.provider_model.as_str()), ("acme", "acme-large-1"));
    assert_eq!(event.price_card, card().id().unwrap());
    assert_eq!(event.deadline, at("2026-11-18T12:10:00Z"));
    assert_eq!(event.client, command.client);
    assert_eq!(event.tags, ["playground"]);
    assert!(event.streams && !event.hidden_output && !event.output_limit_set);
    let once = command.once[0];
    assert_eq!((event.idempotency_key, event.body), (Some(once.key), Some(once.body)));
}

#[test]
fn output_is_hidden_behind_reasoning_several_choices_or_tools() {
    let key = key(unlimited());
    let hidden = |command: &Authorize| granted(&key, command, noon()).hidden_output;
    let mut reasoning = card();
    reasoning.reasoning = true;
    assert!(hidden(&with_card(reasoning, ask(100, 100))));
    let mut two = ask(100, 100);
    two.choices = 2;
    assert!(hidden(&asking(1, two)));
    assert!(hidden(&Authorize { hidden_output: true, ..call(1) }));
}

#[test]
fn a_call_that_the_fold_knows_is_done_whatever_else_is_wrong() {
    let mut key = key(unlimited());
    key.execute(&call(1), noon()).unwrap();
    let again = Authorize { presented: presented(9), org: Standing::Archived.into(), ..call(1) };
    key.when(&again, noon()).then([]);
    key.execute(&reported(1, 1, 1), noon()).unwrap();
    key.when(&again, noon()).then([]);
}

#[test]
fn a_key_that_does_not_exist_and_a_wrong_secret_look_the_same() {
    given([]).when(&call(1), noon()).then_refused(&Refusal::InvalidKey);
    let wrong = Authorize { presented: presented(2), ..call(1) };
    key(unlimited()).when(&wrong, noon()).then_refused(&Refusal::InvalidKey);
    let nothing = Authorize { presented: PresentedSecret { digests: vec![] }, ..call(1) };
    key(unlimited()).when(&nothing, noon()).then_refused(&Refusal::InvalidKey);
}

#[test]
fn a_digest_counts_only_under_its_own_pepper() {
    let key = key(unlimited());
    let digest = secret(1).digest;
    let under = |pepper: &str| PresentedSecret { digests: vec![(pepper.parse().unwrap(), digest)] };
    let other = Authorize { presented: under("pepper-2"), ..call(1) };
    key.when(&other, noon()).then_refused(&Refusal::InvalidKey);
    let several = [under("pepper-2").digests, under("pepper-1").digests].concat();
    assert!(admits(&key, &Authorize { presented: PresentedSecret { digests: several }, ..call(1) }, noon()));
}

#[test]
fn a_blocked_key_is_refused_until_it_is_unblocked_and_a_revoked_one_for_ever() {
    let mut key = key(unlimited());
    key.execute(&Block { reason: None }, noon()).unwrap();
    key.when(&call(1), noon()).then_refused(&Refusal::Blocked);
    key.execute(&Unblock, noon()).unwrap();
    assert!(admits(&key, &call(1), noon()));
    key.execute(&Revoke { reason: None }, noon()).unwrap();
    key.when(&call(1), noon()).then_refused(&Refusal::Revoked);
}

#[test]
fn a_key_is_refused_while_its_org_is_suspended_or_archived() {
    let key = key(unlimited());
    let under = |org| Authorize { org, ..call(1) };
    key.when(&under(Standing::Suspended.into()), noon()).then_refused(&Refusal::OrgSuspended);
    key.when(&under(Standing::Archived.into()), noon()).then_refused(&Refusal::OrgArchived);
}

#[test]
fn the_secret_that_made_a_call_is_recorded_during_an_overlap() {
    let rotated =
        KeySecretRotated { secret: secret(2), previous_valid_until: later(noon(), 1), leaked: false };
    let key = given([(noon(), created(unlimited())), (noon(), rotated.into())]);
    let with = |version| Authorize { presented: presented(version), ..call(1) };
    assert_eq!(granted(&key, &with(1), noon()).secret_version, 1);
    assert_eq!(granted(&key, &with(2), noon()).secret_version, 2);
    key.when(&with(1), later(noon(), 1)).then_refused(&Refusal::SecretRotated);
}

#[test]
fn a_key_works_up_to_the_microsecond_before_its_expiry() {
    let key = key(KeyLimits { expires_at: Some(noon()), ..unlimited() });
    assert!(admits(&key, &call(1), later(noon(), -1)));
    key.when(&call(1), noon()).then_refused(&Refusal::Expired);
}

#[test]
fn a_call_comes_from_one_of_the_allowed_networks() {
    let nets = ["203.0.113.0/24", "2001:db8::/32"].map(|net| net.parse().unwrap());
    let key = key(KeyLimits { addresses: Some(nets.to_vec()), ..unlimited() });
    let from = |address: &str| {
        let command = Authorize { address: address.parse::<IpAddr>().unwrap(), ..call(1) };
        key.when(&command, noon()).result().map(|_| ())
    };
    for inside in ["203.0.113.0", "203.0.113.255", "::ffff:203.0.113.9", "2001:db8::1"] {
        assert_eq!(from(inside), Ok(()), "{inside}");
    }
    for outside in ["203.0.112.255", "203.0.114.0", "::ffff:203.0.114.0", "2001:db9::1"] {
        assert_eq!(from(outside), Err(Refusal::AddressNotAllowed), "{outside}");
    }
}

#[test]
fn a_call_goes_to_one_of_the_allowed_endpoints() {
    let key = key(KeyLimits { endpoints: Some(vec![Endpoint::Messages]), ..unlimited() });
    assert!(admits(&key, &Authorize { endpoint: Endpoint::Messages, ..call(1) }, noon()));
    let refused = Refusal::EndpointNotAllowed(Endpoint::CountTokens);
    key.when(&Authorize { endpoint: Endpoint::CountTokens, ..call(1) }, noon()).then_refused(&refused);
}

fn allows(pattern: &str, model: &str) -> bool {
    let key = key(KeyLimits { models: Some(vec![pattern.to_owned()]), ..unlimited() });
    match key.when(&Authorize { model: model.to_owned(), ..call(1) }, noon()).result() {
        Ok(_) => true,
        Err(Refusal::ModelNotAllowed(named)) => {
            assert_eq!(named, model);
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pattern_matches_the_whole_name_and_a_star_any_run_of_characters() {
    for (pattern, model) in [
        ("gpt-5", "gpt-5"),
        ("*", "gpt-5"),
        ("gpt-*", "gpt-"),
        ("*-mini", "gpt-5-mini"),
        ("*-mini", "a-mini-mini"),
        ("gpt-*-mini", "gpt-5-mini"),
        ("a*b*c", "a-b-b-c"),
        ("a**c", "abc"),
    ] {
        assert!(allows(pattern, model), "{pattern} should match {model}");
    }
    for (pattern, model) in [
        ("gpt-5", "gpt-5-mini"),
        ("gpt-5", "GPT-5"),
        ("", "gpt-5"),
        ("gpt-*", "my-gpt-5"),
        ("*-mini", "gpt-5-mini-2"),
        ("aba*ba", "aba"),
        ("a*b*b*c", "a-b-c"),
        ("gpt.5", "gpt-5"),
    ] {
        assert!(!allows(pattern, model), "{pattern} should not match {model}");
    }
}

#[test]
fn any_one_pattern_will_do() {
    let patterns = vec!["claude-*".to_owned(), "large".to_owned()];
    assert!(admits(&key(KeyLimits { models: Some(patterns), ..unlimited() }), &call(1), noon()));
}

#[test]
fn a_model_without_a_price_is_refused_with_the_reason() {
    let key = key(unlimited());
    for why in [
        PriceRefusal::ModelNotFound,
        PriceRefusal::ModelNotPriced,
        PriceRefusal::NotPriceable("background".to_owned()),
    ] {
        let command = Authorize { priced: Err(why.clone()), ..call(1) };
        key.when(&command, noon()).then_refused(&Refusal::Price(why));
    }
}

/// A key whose only model was billed above the hold.
fn flagged() -> KeyHistory {
    let mut key = key(unlimited());
    key.execute(&call(1), noon()).unwrap();
    key.execute(&reported(1, 100, 101), noon()).unwrap();
    key
}

#[test]
fn a_model_that_was_billed_above_its_hold_is_refused_to_this_key_at_this_provider() {
    let key = flagged();
    key.when(&call(2), noon()).then_refused(&Refusal::ModelFlagged("large".to_owned()));
    let mut elsewhere = priced(card());
    elsewhere.provider = "other".to_owned();
    assert!(admits(&key, &Authorize { priced: Ok(elsewhere), ..call(2) }, noon()));
    let mut sibling = priced(card());
    sibling.provider_model = "acme-small-1".to_owned();
    assert!(admits(&key, &Authorize { priced: Ok(sibling), ..call(2) }, noon()));
}

#[test]
fn an_output_limit_reaches_up_to_the_models() {
    let key = key(unlimited());
    assert!(admits(&key, &asking(1, ask(0, 8_192)), noon()));
    let refusal = Refusal::OutputLimitTooHigh { asked: 8_193, model_max: 8_192 };
    key.when(&asking(1, ask(0, 8_193)), noon()).then_refused(&refusal);
}

#[test]
fn every_refusal_of_a_call_has_its_own_code() {
    let key = flagged();
    let codes = [
        key.when(&Authorize { presented: presented(2), ..call(2) }, noon()),
        key.when(&Authorize { org: Standing::Suspended.into(), ..call(2) }, noon()),
        key.when(&Authorize { priced: Err(PriceRefusal::ModelNotFound), ..call(2) }, noon()),
        key.when(&call(2), noon()),
    ]
    .map(|outcome| outcome.result().map(|events: Vec<KeyEvent>| events.len()).unwrap_err().code());
    assert_eq!(codes, ["invalid_api_key", "org_suspended", "model_not_found", "model_flagged"]);
}
