//! The places where the program is killed, and how often.

use std::fmt;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::fake_provider::Phase;
use crate::harness::Store;

/// A kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kill {
    /// By itself, when it comes by a place of `src/failpoint.rs`.
    Inside(&'static str),
    /// From outside, when the provider has reached a stage of an answer.
    Provider(Stage),
    /// From outside, when an append has got so far on the server.
    Append(Reached),
    /// From outside, a moment after the load began.
    AnyTime,
    /// By itself, while it starts again after a kill or ends the calls that were left open.
    Recovering,
    /// The server that has the ledger, a moment after the load began; the program lives on.
    ServerOnly,
    /// Both.
    ServerToo,
}

/// How far an append has got on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reached {
    /// It is there, and will be written only when the program is dead.
    Arrived,
    /// It is written; the program will never hear of it.
    Committed,
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

/// All that do not depend on the store.
const ANYWHERE: [Kill; 18] = [
    Kill::Inside("before-authorize"),
    Kill::Inside("before-append"),
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
/// Those within the commit of the embedded store.
const IN_COMMIT: [Kill; 2] = [Kill::Inside("group-commit"), Kill::Inside("group-committed")];
/// Those within the commit of a server, and those of the server itself.
const ON_SERVER: [Kill; 4] =
    [Kill::Append(Reached::Arrived), Kill::Append(Reached::Committed), Kill::ServerOnly, Kill::ServerToo];

/// All of them, on a store. A real server cannot be killed by a test.
pub(super) fn places(store: Store) -> Vec<Kill> {
    let own = match store {
        Store::Embedded => IN_COMMIT.as_slice(),
        Store::EventStoreDb if Store::is_simulated() => ON_SERVER.as_slice(),
        Store::EventStoreDb => &[],
    };
    [ANYWHERE.as_slice(), own].concat()
}

/// Each place of the story's store so many times, in an order that depends on the seed.
pub(super) fn shuffled(seed: u64, each: usize) -> Vec<Kill> {
    let mut plan = places(Store::of_this_story()).repeat(each);
    plan.shuffle(&mut StdRng::seed_from_u64(seed));
    plan
}

/// Places where it can be killed while it starts.
pub(super) fn places_of_a_start(store: Store) -> &'static [&'static str] {
    match store {
        Store::Embedded => &["before-append", "group-commit", "group-committed", "after-append"],
        Store::EventStoreDb => &["before-append", "after-append"],
    }
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
            Kill::Append(reached) => write!(f, "outside, when an append was {reached:?} at the server"),
            Kill::AnyTime => f.write_str("outside, at any time"),
            Kill::Recovering => f.write_str("inside: while recovering"),
            Kill::ServerOnly => f.write_str("of the server, at any time"),
            Kill::ServerToo => f.write_str("of the server and the program, at any time"),
        }
    }
}
