//! Who strikes, and when: the program itself, at a place that it is told; somebody outside, when the provider or an
//! append has got somewhere, or after a while; on the program, its server, or both.

use std::time::Duration;

use nemo_eventstoredb_simulator::{AppendFault, LateAnswer};
use rand::RngExt;
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Series, killed};
use crate::crash::kill::{Kill, Reached, Stage, places_of_a_start};
use crate::harness::{Store, until};

/// The append that is the last is one of so many.
const APPENDS: usize = 12;

impl Series {
    /// What will kill it, if it does not do so itself.
    pub(super) fn prepare(&mut self, kill: Kill, nth: usize) -> Option<JoinHandle<()>> {
        let moment = Duration::from_micros(self.random.random_range(0..60_000));
        match kill {
            Kill::Inside(place) => {
                self.arm(place, nth);
                None
            }
            Kill::Provider(stage) => Some(self.killer_at(stage, nth)),
            Kill::Append(reached) => Some(self.killer_at_append(reached, 1 + nth % APPENDS)),
            Kill::AnyTime | Kill::Recovering => Some(self.killer_after(moment)),
            Kill::ServerOnly => Some(self.killer_of_server(moment, None)),
            Kill::ServerToo => Some(self.killer_of_server(moment, Some(Signal::KILL))),
        }
    }

    fn arm(&self, place: &str, nth: usize) {
        self.crash_at(&format!("{place}:{nth}"));
    }

    pub(super) fn disarm(&self) {
        self.crash_at("");
        if let Some(server) = self.nemo.server() {
            server.clear_append_faults();
        }
    }

    /// At once, so that nobody reads half of it.
    fn crash_at(&self, text: &str) {
        let new = self.crash_at.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &self.crash_at).unwrap();
    }

    fn killer_at(&self, stage: Stage, nth: usize) -> JoinHandle<()> {
        let (nemo, mut phases) = (self.nemo.clone(), self.nemo.provider().on_phase());
        tokio::spawn(async move {
            let mut left = nth;
            while left > 0 {
                if phases.recv().await.is_ok_and(|reached| stage.is(reached.phase)) {
                    left -= 1;
                }
            }
            nemo.signal(Signal::KILL);
        })
    }

    fn killer_after(&self, moment: Duration) -> JoinHandle<()> {
        let nemo = self.nemo.clone();
        tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            nemo.signal(Signal::KILL);
        })
    }

    fn killer_at_append(&self, reached: Reached, nth: usize) -> JoinHandle<()> {
        let nemo = self.nemo.clone();
        let server = nemo.server().expect("a simulated server");
        let faults = server.counts().faults + nth as u64;
        for _ in 1..nth {
            server.next_append(AppendFault::Slow(Duration::ZERO));
        }
        server.next_append(match reached {
            Reached::Arrived => AppendFault::LateCommit(LateAnswer::Nothing),
            Reached::Committed => AppendFault::SilentAfterCommit,
        });
        tokio::spawn(async move {
            let server = nemo.server().expect("it was there");
            server.until("the append is there", |counts| counts.faults >= faults).await;
            nemo.signal(Signal::KILL);
        })
    }

    /// The server loses its connections and its memory, and is back after a while; the program gets a signal
    /// meanwhile or nothing.
    fn killer_of_server(&mut self, moment: Duration, program_gets: Option<Signal>) -> JoinHandle<()> {
        let nemo = self.nemo.clone();
        let away = Duration::from_millis(self.random.random_range(0..200));
        tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            // From here on it must come to its end: nobody else starts the server again.
            tokio::task::block_in_place(|| {
                let server = nemo.server().expect("a simulated server");
                server.stop();
                program_gets.into_iter().for_each(|signal| nemo.signal(signal));
                std::thread::sleep(away);
                server.start_again();
            });
        })
    }

    /// Starts it and kills it while it starts, or while it ends calls that were left open; whether that came
    /// to be.
    pub(super) async fn kill_again(&mut self) -> bool {
        let places = places_of_a_start(Store::of_this_story());
        let place = places[self.random.random_range(0..places.len())];
        let nth = self.random.random_range(1..=4);
        self.arm(place, nth);
        let killed_there = match self.nemo.try_restart().await {
            Err(exited) => {
                killed(&exited);
                true
            }
            Ok(()) => {
                let died = until("it died or has recovered", || self.died_recovering()).await;
                if !died {
                    self.nemo.signal(Signal::KILL);
                }
                killed(&self.nemo.until_exit().await);
                died
            }
        };
        self.disarm();
        killed_there
    }

    /// `Some(false)` once no call is open.
    async fn died_recovering(&self) -> Option<bool> {
        for key in &self.keys {
            let request =
                self.nemo.http().get(self.nemo.url(&key.path(""))).bearer_auth(self.nemo.master_key());
            let Ok(response) = request.send().await else { return Some(true) };
            let Ok(shown) = response.json::<Value>().await else { return Some(true) };
            if shown["key"]["open_calls"]["count"] != 0 {
                return None;
            }
        }
        Some(false)
    }
}
