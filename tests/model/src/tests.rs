#![expect(clippy::expect_used, clippy::panic, reason = "a test fails loudly")]
use crate::allotment::{Allotment, Flaw};
use crate::search::search;

fn states(world: Allotment) -> usize {
    let found = search(&world);
    let states =
        found.unwrap_or_else(|found| panic!("{:?} breaks `{}`: {:#?}", world, found.law, found.steps));
    println!("{states} states of {world:?}");
    states
}

#[test]
fn two_keys_and_two_days_never_spend_more_than_the_org_has() {
    let world = Allotment { granted_at_most: 3, ..Allotment::sound() };
    assert!(states(world) > 1_000_000);
}

#[test]
fn two_keys_share_a_larger_day() {
    let world = Allotment { days: 1, granted_at_most: 5, day_limit: 4, total_limit: 4, ..Allotment::sound() };
    assert!(states(world) > 100_000);
}

#[test]
fn a_slice_that_is_granted_and_given_back_many_times_stays_sound() {
    let world = Allotment { keys: 1, granted_at_most: 5, total_limit: 5, day_limit: 3, ..Allotment::sound() };
    assert!(states(world) > 100_000);
}

/// The law that a flaw breaks, and in how many steps.
fn law_broken_by(flaw: Flaw) -> (&'static str, usize) {
    let world = Allotment { overrun: false, lowered_to: None, flaw: Some(flaw), ..Allotment::sound() };
    let found = search(&world).expect_err("the search must find what is wrong");
    println!("{flaw:?} breaks `{}`: {:?}", found.law, found.steps);
    (found.law, found.steps.len())
}

#[test]
fn every_flaw_is_found() {
    let (order, has) = ("reclaimed ≤ returned ≤ received ≤ granted", "a key draws on no more than it has");
    let (day, total) = ("no day is spent above its budget", "no more is out than the budget for all time");
    let (out, back) = ("no more is out than the day's budget", "what is idle can be had back");
    assert_eq!(law_broken_by(Flaw::ReceiptAdds), (order, 3));
    assert_eq!(law_broken_by(Flaw::ReceiptTakesTheLast).0, has);
    assert_eq!(law_broken_by(Flaw::ReclaimAdds).0, order);
    assert_eq!(law_broken_by(Flaw::TransitIsFree).0, out);
    assert_eq!(law_broken_by(Flaw::HeldIsReturned).0, has);
    assert_eq!(law_broken_by(Flaw::ReclaimedUnasked).0, order);
    assert_eq!(law_broken_by(Flaw::SlicesOutliveTheirDay).0, day);
    assert_eq!(law_broken_by(Flaw::EndsMoveToTheNewDay).0, order);
    assert_eq!(law_broken_by(Flaw::ExpiredIsKept).0, back);
    assert_eq!(law_broken_by(Flaw::TotalIsForgotten).0, total);
}
