//! Nodes that die and start again, what they leave behind, and the healing in the end.

use nemo_events::CallId;
use nemo_store::EventStore as _;
use tokio::task::JoinHandle;

use super::super::probe::Death;
use super::super::support::a_while;
use super::script::{KEYS, NODES};
use super::world::{World, in_time, join, key};
use crate::ledger::ExecuteError;
use crate::ledger::reap::Orphan;

impl World<'_> {
    pub(super) async fn commit_late(&self, node: usize) {
        self.store(node).commit_late().await;
        let before = self.memory.head().await.unwrap();
        for dead in &self.dead {
            dead.commit_late().await;
        }
        if self.memory.head().await.unwrap() != before {
            self.note("committed after the crash");
        }
    }

    /// The node dies with everything that it had in hand, and starts again over what is stored.
    pub(super) async fn crash(&mut self, n: usize, death: Death) {
        if self.members[n].keys.iter().any(|account| account.waiting() > 0) {
            self.note("crashed with an append in flight");
        }
        let old = self.members[n].node.store.clone();
        old.die(death);
        self.asking.retain(|asking| asking.asked.node != n || gone(&asking.task));
        self.ending.retain(|ending| ending.node != n || gone(&ending.task));
        self.managing.retain(|(node, task)| *node != n || gone(task));
        let running = self.running.len();
        self.running.retain(|running| running.node != n);
        if self.running.len() < running {
            self.note("crashed with a call open");
        }
        // What was in flight gets as far as it will before the node is back.
        a_while().await;
        self.dead.push(old);
        self.members[n] = join(&self.memory).await;
        self.observed[n] = [0; KEYS];
        self.tick();
        if death == Death::Late {
            // It comes when the node that started again has read what is stored.
            self.commit_late(n).await;
        }
    }

    /// Calls that are open in the store and that no living node will end.
    fn orphans(&self) -> Vec<Orphan> {
        let owned = |call: &CallId| {
            self.running.iter().any(|running| running.authorized.event().call == *call)
                || self.ending.iter().any(|ending| ending.call == *call)
                || self.asking.iter().any(|asking| asking.call == *call)
        };
        let of_key = |n: usize| {
            let open = self.naive(n).open_calls().into_iter().filter(|call| !owned(call));
            open.map(move |call| Orphan { key: key(n), call })
        };
        (0..KEYS).flat_map(of_key).collect()
    }

    /// Whoever ends what others left open has seen of it first.
    pub(super) async fn reap(&mut self, node: usize) {
        self.observe(node).await;
        for orphan in self.orphans() {
            let ledger = self.ledger(node);
            let ends = async move {
                ledger.end_orphan(orphan).await;
                Ok(())
            };
            self.managing.push((node, tokio::spawn(ends)));
        }
    }

    pub(super) async fn end_overdue(&mut self, node: usize) {
        self.observe(node).await;
        for n in 0..KEYS {
            for call in self.naive(n).open_calls() {
                let ledger = self.ledger(node);
                let ends = async move {
                    ledger.end_overdue(Orphan { key: key(n), call }).await;
                    Ok(())
                };
                self.managing.push((node, tokio::spawn(ends)));
            }
        }
    }

    /// Everything works again, and everybody gets an answer.
    pub(super) async fn heal(&mut self) {
        for member in &self.members {
            member.node.store.come_back();
            member.node.store.release_appends();
        }
        self.skew = [0; NODES];
        self.passes(self.now + 10_000_000);
        for asking in std::mem::take(&mut self.asking) {
            self.told(asking).await;
        }
        for ending in std::mem::take(&mut self.ending) {
            self.ended(ending).await;
        }
        self.commit_late(0).await;
        self.commit_late(1).await;
        self.reap(0).await;
        for (_, mut task) in std::mem::take(&mut self.managing) {
            match in_time(&mut task).await {
                None | Some(Ok(()) | Err(ExecuteError::Refused(_) | ExecuteError::ClockBehind(_))) => {}
                Some(Err(error)) => panic!("{error}"),
            }
        }
        // What is seen leads to more, which is to be seen again.
        for _ in 0..3 {
            for member in &self.members {
                member.node.is_quiet().await;
                member.node.observes_all().await;
            }
        }
    }
}

fn gone<T>(task: &JoinHandle<T>) -> bool {
    task.abort();
    false
}
