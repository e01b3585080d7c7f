//! The places where the program is killed, and how often.

use std::fmt;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::fake_provider::Phase;

/// A kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kill {
    /// By itself, when it comes by a place of `src/failpoint.rs`.
    Inside(&'static str),
    /// From outside, when the provider has reached a stage of an answer.
    Provider(Stage),
    /// From outside, a moment after the load began.
    AnyTime,
    /// By itself, while it starts again after a kill or ends the calls that were left open.
    Recovering,
}

/// A stage of a provider's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Received,
    FirstByte,
    MidStream,
    BeforeLast,
    LastByte,
}

/// All of them.
pub(super) const PLACES: [Kill; 20] = [
    Kill::Inside("before-authorize"),
    Kill::Inside("before-append"),
    Kill::Inside("group-commit"),
    Kill::Inside("group-committed"),
    Kill::Inside("after-append"),
    Kill::Inside("after-authorize"),
    Kill::Inside("dispatch"),
    Kill::Inside("answered"),
    Kill::Inside("first-byte"),
    Kill::Inside("mid-stream"),
    Kill::Inside("last-byte"),
    Kill::Inside("before-settle"),
    Kill::Inside("after-settle"),
    Kill::Provider(Stage::Received),
    Kill::Provider(Stage::FirstByte),
    Kill::Provider(Stage::MidStream),
    Kill::Provider(Stage::BeforeLast),
    Kill::Provider(Stage::LastByte),
    Kill::AnyTime,
    Kill::Recovering,
];

/// Each place so many times, in an order that depends on the seed.
pub(super) fn shuffled(seed: u64, each: usize) -> Vec<Kill> {
    let mut plan = PLACES.repeat(each);
    plan.shuffle(&mut StdRng::seed_from_u64(seed));
    plan
}

impl Stage {
    /// Whether a phase of the provider is this stage.
    pub(super) fn is(self, phase: Phase) -> bool {
        match self {
            Stage::Received => phase == Phase::Received,
            Stage::FirstByte => phase == Phase::FirstByte,
            Stage::MidStream => matches!(phase, Phase::MidStream(_)),
            Stage::BeforeLast => phase == Phase::BeforeLast,
            Stage::LastByte => phase == Phase::LastByte,
        }
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kill::Inside(place) => write!(f, "inside: {place}"),
            Kill::Provider(stage) => write!(f, "outside, at the provider's {stage:?}"),
            Kill::AnyTime => f.write_str("outside, at any time"),
            Kill::Recovering => f.write_str("inside: while recovering"),
        }
    }
}
