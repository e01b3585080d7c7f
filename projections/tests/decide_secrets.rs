//! Rotation: the overlap, its end to the microsecond, and what is remembered of earlier secrets.

use nemo_events::key::{KeyDigestRenewed, KeySecret, KeySecretRetired, KeySecretRotated};
use nemo_events::{Digest, KeyEvent, Timestamp};
use nemo_projections::Refusal;
use nemo_projections::decide::{
    Authorize, Block, PresentedSecret, RenewDigest, RetireSecret, Rotate, authenticate,
};
use nemo_projections::org::Standing;
use nemo_projections::testing::KeyHistory;

use crate::support::{at, call, key, later, noon, presented, secret, state, unlimited};

const HOUR: i64 = 3_600_000_000;

fn rotate(version: u32, overlap_secs: u32) -> Rotate {
    Rotate { secret: secret(version), overlap_secs, leaked: false }
}

fn works(key: &KeyHistory, version: u32, now: Timestamp) -> Result<u32, Refusal> {
    authenticate(state(key), &presented(version), Standing::Active, now)
}

#[test]
fn the_decision_counts_the_secrets_whatever_the_command_says() {
    let mut key = key(unlimited());
    let unnumbered = Rotate { secret: KeySecret { version: 99, ..secret(2) }, ..rotate(2, 60) };
    let rotated = KeySecretRotated {
        secret: secret(2),
        previous_valid_until: at("2026-11-18T12:01:00Z"),
        leaked: false,
    };
    assert_eq!(key.execute(&unnumbered, noon()).unwrap(), [rotated.into()]);
    assert_eq!(state(&key).current_secret(), Some(&secret(2)));
}

#[test]
fn the_old_secret_works_until_the_overlap_ends_and_not_at_its_end() {
    let mut key = key(unlimited());
    key.execute(&rotate(2, 3_600), noon()).unwrap();
    assert_eq!(works(&key, 1, noon()), Ok(1));
    assert_eq!(works(&key, 1, later(noon(), HOUR - 1)), Ok(1));
    assert_eq!(works(&key, 1, later(noon(), HOUR)), Err(Refusal::SecretRotated));
    assert_eq!(works(&key, 2, later(noon(), HOUR)), Ok(2));
}

#[test]
fn without_an_overlap_the_old_secret_is_refused_in_the_same_microsecond() {
    let mut key = key(unlimited());
    key.execute(&rotate(2, 0), noon()).unwrap();
    assert_eq!(works(&key, 1, noon()), Err(Refusal::SecretRotated));
    assert_eq!(works(&key, 2, noon()), Ok(2));
}

#[test]
fn a_leaked_secret_has_no_overlap() {
    let key = key(unlimited());
    let leaked = |overlap_secs| Rotate { leaked: true, ..rotate(2, overlap_secs) };
    assert!(matches!(key.when(&leaked(1), noon()).result(), Err(Refusal::Invalid(_))));
    let rotated = KeySecretRotated { secret: secret(2), previous_valid_until: noon(), leaked: true };
    key.when(&leaked(0), noon()).then([rotated.into()]);
}

#[test]
fn an_overlap_has_at_most_30_days() {
    let key = key(unlimited());
    assert!(key.when(&rotate(2, 30 * 86_400), noon()).result().is_ok());
    let too_long = Refusal::Invalid("overlap_secs is above 30 days".to_owned());
    key.when(&rotate(2, 30 * 86_400 + 1), noon()).then_refused(&too_long);
}

#[test]
fn a_second_rotation_can_shorten_an_earlier_overlap_and_never_lengthen_it() {
    let mut shortened = key(unlimited());
    shortened.execute(&rotate(2, 7_200), noon()).unwrap();
    shortened.execute(&rotate(3, 0), later(noon(), HOUR)).unwrap();
    assert_eq!(works(&shortened, 1, later(noon(), HOUR)), Err(Refusal::SecretRotated));
    assert_eq!(works(&shortened, 2, later(noon(), HOUR)), Err(Refusal::SecretRotated));

    let mut lengthened = key(unlimited());
    lengthened.execute(&rotate(2, 1), noon()).unwrap();
    lengthened.execute(&rotate(3, 7_200), noon()).unwrap();
    assert_eq!(works(&lengthened, 1, later(noon(), 1_000_000)), Err(Refusal::SecretRotated));
    assert_eq!(works(&lengthened, 2, later(noon(), 2 * HOUR - 1)), Ok(2));
}

#[test]
fn a_secret_that_is_forgotten_is_no_key_of_ours() {
    let mut key = key(unlimited());
    for version in 2..=9 {
        key.execute(&rotate(version, 0), noon()).unwrap();
    }
    assert_eq!(works(&key, 1, noon()), Err(Refusal::InvalidKey));
    assert_eq!(works(&key, 2, noon()), Err(Refusal::SecretRotated), "eight are remembered");
}

#[test]
fn no_secret_is_forgotten_before_its_overlap_ends() {
    let mut key = key(unlimited());
    for version in 2..=8 {
        key.execute(&rotate(version, 3_600), noon()).unwrap();
    }
    key.when(&rotate(9, 1), noon()).then_refused(&Refusal::TooManySecrets);
    assert_eq!(works(&key, 1, noon()), Ok(1));

    // A later one that does not work any more makes room; an earlier one that does is kept.
    key.execute(&RetireSecret { version: 5 }, noon()).unwrap();
    key.execute(&rotate(9, 3_600), noon()).unwrap();
    assert_eq!(works(&key, 5, noon()), Err(Refusal::InvalidKey));
    for version in [1, 2, 3, 4, 6, 7, 8, 9] {
        assert_eq!(works(&key, version, noon()), Ok(version));
    }
    key.when(&rotate(10, 0), noon()).result().unwrap();
}

#[test]
fn retiring_ends_an_overlap_at_once() {
    let mut key = key(unlimited());
    key.execute(&rotate(2, 3_600), noon()).unwrap();
    let retired = key.execute(&RetireSecret { version: 1 }, later(noon(), 7)).unwrap();
    assert_eq!(retired, [KeySecretRetired { version: 1 }.into()]);
    assert_eq!(works(&key, 1, later(noon(), 7)), Err(Refusal::SecretRotated));
    key.when(&RetireSecret { version: 1 }, later(noon(), 7)).then([]);
}

#[test]
fn a_secret_whose_overlap_is_over_needs_no_retiring() {
    let mut key = key(unlimited());
    key.execute(&rotate(2, 1), noon()).unwrap();
    let before = key.when(&RetireSecret { version: 1 }, later(noon(), 999_999)).result().unwrap();
    assert_eq!(before.len(), 1);
    key.when(&RetireSecret { version: 1 }, later(noon(), 1_000_000)).then([]);
}

#[test]
fn neither_the_current_secret_nor_an_unknown_one_can_be_retired() {
    let mut key = key(unlimited());
    key.when(&RetireSecret { version: 1 }, noon()).then_refused(&Refusal::SecretUnknown(1));
    key.execute(&rotate(2, 60), noon()).unwrap();
    key.when(&RetireSecret { version: 2 }, noon()).then_refused(&Refusal::SecretUnknown(2));
    key.when(&RetireSecret { version: 3 }, noon()).then_refused(&Refusal::SecretUnknown(3));
}

#[test]
fn a_blocked_key_can_be_rotated() {
    let mut key = key(unlimited());
    key.execute(&Block { reason: None }, noon()).unwrap();
    assert!(key.when(&rotate(2, 0), noon()).result().is_ok());
}

#[test]
fn a_secret_is_digested_again_under_another_pepper_and_nothing_else_changes() {
    let mut key = key(unlimited());
    let (pepper, digest) = ("pepper-2".parse().unwrap(), Digest::of(b"again"));
    let renewed = KeySecret { pepper, digest, ..secret(1) };
    key.when(&RenewDigest { secret: secret(1) }, noon()).then([]);
    let unknown = RenewDigest { secret: KeySecret { version: 2, ..renewed.clone() } };
    key.when(&unknown, noon()).then_refused(&Refusal::SecretUnknown(2));
    let another = RenewDigest { secret: KeySecret { last_four: "zzzz".to_owned(), ..renewed.clone() } };
    assert!(matches!(key.when(&another, noon()).result(), Err(Refusal::Invalid(_))));

    let events = key.execute(&RenewDigest { secret: renewed.clone() }, noon()).unwrap();
    assert_eq!(events, [KeyDigestRenewed { secret: renewed }.into()]);
    assert_eq!(works(&key, 1, noon()), Ok(1), "a request that was digested before is still good");
    let again = KeySecret { pepper: "pepper-3".parse().unwrap(), digest: Digest::of(b"3"), ..secret(1) };
    key.execute(&RenewDigest { secret: again }, noon()).unwrap();
    assert_eq!(works(&key, 1, noon()), Err(Refusal::InvalidKey), "one renewal is bridged, not two");
}

/// Version 1 as a node presents it that has these peppers, the current one first.
fn presented_under(peppers: &[&str]) -> PresentedSecret {
    let digest = |pepper: &str| match pepper {
        "pepper-1" => secret(1).digest,
        other => Digest::of(other.as_bytes()),
    };
    PresentedSecret { digests: peppers.iter().map(|p| (p.parse().unwrap(), digest(p))).collect() }
}

#[test]
fn a_call_under_an_older_pepper_renews_the_digest_once() {
    let mut key = key(unlimited());
    let call_under = |n, peppers| Authorize { presented: presented_under(peppers), ..call(n) };
    assert_eq!(key.execute(&call_under(1, &["pepper-1"]), noon()).unwrap().len(), 1);

    let events = key.execute(&call_under(2, &["pepper-2", "pepper-1"]), noon()).unwrap();
    let renewed =
        KeySecret { pepper: "pepper-2".parse().unwrap(), digest: Digest::of(b"pepper-2"), ..secret(1) };
    assert_eq!(events[0], KeyDigestRenewed { secret: renewed }.into());
    assert!(matches!(&events[1..], [KeyEvent::CallAuthorized(e)] if e.secret_version == 1));
    assert_eq!(key.execute(&call_under(3, &["pepper-2", "pepper-1"]), noon()).unwrap().len(), 1);

    // A node without the new pepper still lets the key in, and does not turn it back.
    assert_eq!(key.execute(&call_under(4, &["pepper-1"]), noon()).unwrap().len(), 1);
    assert_eq!(state(&key).current_secret().unwrap().pepper.as_str(), "pepper-2");
    // Without the old pepper the key lives on.
    assert_eq!(key.execute(&call_under(5, &["pepper-2"]), noon()).unwrap().len(), 1);
}

#[test]
fn a_renewed_digest_keeps_the_end_of_its_overlap() {
    let mut key = key(unlimited());
    key.execute(&rotate(2, 1), noon()).unwrap();
    let renewed = KeySecret { digest: Digest::of(b"again"), ..secret(1) };
    key.execute(&RenewDigest { secret: renewed }, noon()).unwrap();
    assert_eq!(state(&key).secrets[0].valid_until, Some(later(noon(), 1_000_000)));
}
