//! Rates against a queue that is simulated unit by unit, in exact integers.

use nemo_events::Timestamp;
use nemo_projections::rate::{Bucket, Place};
use proptest::prelude::*;

use crate::reference::rates::Queue;
use crate::support::cases;

#[derive(Debug, Clone)]
enum Step {
    /// Lets microseconds pass.
    Wait(i64),
    /// A call joins if it is admitted.
    Call(u64),
    /// One of the open calls ends and used so much per mille of its bound.
    End(usize, u64),
    /// Another limit comes into force.
    Limit(Option<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => prop_oneof![0_i64..3, 1_000_i64..5_000_000, 20_000_000_i64..90_000_000].prop_map(Step::Wait),
        4 => (0_u64..60).prop_map(Step::Call),
        4 => (any::<usize>(), prop_oneof![0_u64..=1_000, 1_000_u64..4_000]).prop_map(|(n, used)| Step::End(n, used)),
        1 => prop::option::weighted(0.9, 1_u64..100).prop_map(Step::Limit),
    ]
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn a_bucket_admits_and_drains_like_a_queue_of_units(
        first in 1_u64..100,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let (mut bucket, mut queue) = (Bucket::default(), Queue::default());
        let (mut limit, mut now) = (Some(first), 1_000_000_000_i64);
        let mut open: Vec<(u128, u64, Place)> = Vec::new();
        queue.set_limit(limit, now);
        for (call, step) in (0_u128..).zip(steps) {
            let at = Timestamp::from_micros(now);
            match step {
                Step::Wait(micros) => now += micros,
                Step::Call(units) => {
                    queue.drain(now);
                    if let Some(limit) = limit {
                        let wait = if units > limit { u64::MAX } else { u64::try_from(queue.wait(units)).unwrap() };
                        let expected = if wait == 0 { Ok(()) } else { Err(wait) };
                        prop_assert_eq!(bucket.admits(limit, units, at), expected);
                        prop_assert_eq!(i128::from(bucket.remaining(limit, at)), queue.remaining());
                        if wait > 0 {
                            continue;
                        }
                    }
                    bucket = bucket.plus(limit, units, at);
                    queue.join(call, units, now);
                    open.push((call, units, bucket.place()));
                }
                Step::End(pick, per_mille) if !open.is_empty() => {
                    let (call, bound, place) = open.remove(pick % open.len());
                    let used = bound * per_mille / 1_000;
                    let others = open.iter_mut().map(|(_, _, place)| place);
                    bucket = bucket.corrected(limit, place, (bound, used), at, others);
                    queue.correct(call, bound, used, now);
                }
                Step::End(..) => {}
                Step::Limit(new) => {
                    bucket = bucket.drained(limit, at);
                    queue.set_limit(new, now);
                    limit = new;
                    // What the fold does on its next event without a limit, the queue does at once.
                    if new.is_none() {
                        bucket = bucket.drained(None, at);
                    }
                }
            }
        }
    }

    #[test]
    fn no_stretch_of_time_admits_more_than_the_limit_and_what_it_refills(
        limit in 1_u64..50,
        steps in prop::collection::vec((0_i64..20_000_000, 0_u64..60, any::<prop::sample::Index>(), 0_u64..=1_000), 1..100),
    ) {
        let (mut bucket, mut now) = (Bucket::default(), 0_i64);
        // Moment and what counts of each call: its bound while it is open, its use afterwards.
        let mut counted: Vec<(i64, u64)> = Vec::new();
        let mut open: Vec<(usize, Place)> = Vec::new();
        for (wait, units, pick, per_mille) in steps {
            now += wait;
            let at = Timestamp::from_micros(now);
            if bucket.admits(limit, units, at).is_ok() {
                bucket = bucket.plus(Some(limit), units, at);
                open.push((counted.len(), bucket.place()));
                counted.push((now, units));
            } else if !open.is_empty() {
                let (call, place) = open.remove(pick.index(open.len()));
                let used = counted[call].1 * per_mille / 1_000;
                let others = open.iter_mut().map(|(_, place)| place);
                bucket = bucket.corrected(Some(limit), place, (counted[call].1, used), at, others);
                counted[call].1 = used;
            }
        }
        for (first, (begin, _)) in counted.iter().enumerate() {
            let mut sum = 0;
            for (end, units) in &counted[first..] {
                sum += u128::from(*units);
                let refilled = u128::from(limit) * u128::try_from(end - begin).unwrap();
                prop_assert!(sum * 60_000_000 <= u128::from(limit) * 60_000_000 + refilled);
            }
        }
    }
}
