//! What the nodes share: one log, one script of faults, one set of counters.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::counters::Counters;
use crate::faults::Faults;
use crate::log::Log;
use crate::options::Options;
use crate::statuses;
use crate::wire::Link;

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) log: Arc<Log>,
    pub(crate) faults: Faults,
    pub(crate) counters: Arc<Counters>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) members: Vec<Member>,
    leader: AtomicUsize,
}

/// A node as the others know it.
pub(crate) struct Member {
    pub(crate) port: u16,
    pub(crate) is_up: AtomicBool,
}

impl Shared {
    pub(crate) fn new(options: Options, log: Log, ports: impl IntoIterator<Item = u16>) -> Self {
        let members = ports.into_iter().map(|port| Member { port, is_up: AtomicBool::new(false) });
        Self {
            options,
            log: Arc::new(log),
            faults: Faults::default(),
            counters: Arc::new(Counters::new()),
            subscriptions: Subscriptions::default(),
            members: members.collect(),
            leader: AtomicUsize::new(0),
        }
    }

    pub(crate) fn leader(&self) -> usize {
        self.leader.load(Ordering::SeqCst)
    }

    pub(crate) fn elect(&self, node: usize) {
        self.leader.store(node, Ordering::SeqCst);
    }

    /// Refuses what needs the leader on a node that is not.
    pub(crate) fn check_leader(&self, node: usize) -> Result<(), Status> {
        let leader = self.leader();
        let member = &self.members[leader];
        if leader == node {
            Ok(())
        } else if member.is_up.load(Ordering::SeqCst) {
            Err(statuses::not_leader(&self.options.host, member.port))
        } else {
            Err(statuses::no_leader())
        }
    }

    /// Lets the simulated round trip go by.
    pub(crate) async fn travel(&self, since: tokio::time::Instant) {
        let latency = self.faults.latency();
        if latency > Duration::ZERO {
            tokio::time::sleep_until(since + latency).await;
        }
    }
}

/// What a test tells an open subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    End,
    Fail(Code),
    /// Delivers the last so many events again.
    Duplicate(usize),
}

/// The subscriptions that are open.
#[derive(Default)]
pub(crate) struct Subscriptions(Mutex<Vec<(Link, mpsc::UnboundedSender<Command>)>>);

impl Subscriptions {
    pub(crate) fn enter(&self, link: &Link) -> mpsc::UnboundedReceiver<Command> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut open = self.0.lock().unwrap();
        open.retain(|(_, sender)| !sender.is_closed());
        open.push((link.clone(), sender));
        receiver
    }

    /// Tells all that are open, and returns how many these are.
    pub(crate) fn tell(&self, command: Command) -> usize {
        let open = self.0.lock().unwrap();
        open.iter().filter(|(_, sender)| sender.send(command).is_ok()).count()
    }

    /// Cuts the connections of all that are open, and returns how many these are.
    pub(crate) fn cut(&self) -> usize {
        let open = self.0.lock().unwrap();
        open.iter().filter(|(_, sender)| !sender.is_closed()).map(|(link, _)| link.cut()).count()
    }
}
