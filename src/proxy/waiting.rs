//! A call that would fit but for calls in flight waits for what they hold to come free, in its key's line or its
//! org's, and is refused if that takes too long. Whoever comes while others wait stands behind them, unless it could
//! not be made anyway.

use std::pin::pin;
use std::time::Duration;

use nemo_projections::Refusal;
use nemo_projections::refusal::BudgetOwner;
use tokio::time::{Instant, sleep_until};

use super::admit::Asking;
use super::client::Ours;
use crate::ledger::{Authorized, Cut, ExecuteError, Place, Whose};

/// What ends a wait.
enum Ended {
    TooLate,
    ClientLeft,
    Cut(Cut),
}

/// Asks for leave, and waits for it if need be.
pub(super) async fn ask(
    asking: &mut Asking<'_>,
    patience: Duration,
    place: &mut Place<'_>,
    ours: &mut Ours,
) -> Result<Authorized, ExecuteError> {
    let (lines, key) = (asking.lines(), asking.key());
    let mut whose = Whose::from(key);
    if patience.is_zero() || lines.is_empty(key) {
        match asking.ask().await {
            Err(refused) if !patience.is_zero() && waits_for_money(&refused) => {
                whose = asking.org().filter(|_| waits_for_org(&refused)).map_or(whose, Whose::from);
            }
            told => return told,
        }
    } else if let Err(refused) = asking.consider().await
        && !waits_for_money(&refused)
    {
        return Err(refused);
    }
    // A line that is full takes nobody: now or not at all.
    let Some(waiter) = lines.join(whose) else { return asking.ask().await };
    let until = Instant::now() + patience;
    let _head = match unless_ended(waiter.head(), until, place, ours).await {
        Ok(head) => head,
        Err(ended) => return ended.told(asking, None).await,
    };
    loop {
        let mut stirred = pin!(waiter.stirred());
        // Before the look, so that nothing that happens during it is missed.
        stirred.as_mut().enable();
        let held = match asking.ask().await {
            Err(refused) if waits_for_money(&refused) => refused,
            told => return told,
        };
        if let Err(ended) = unless_ended(stirred, until, place, ours).await {
            return ended.told(asking, Some(held)).await;
        }
    }
}

const fn waits_for_money(error: &ExecuteError) -> bool {
    matches!(error, ExecuteError::Refused(Refusal::BudgetHeld(_)))
}

/// Whether another key of the org may end the wait.
fn waits_for_org(error: &ExecuteError) -> bool {
    matches!(error, ExecuteError::Refused(Refusal::BudgetHeld(short)) if short.of == BudgetOwner::Org)
}

async fn unless_ended<T>(
    what: impl Future<Output = T>,
    until: Instant,
    place: &mut Place<'_>,
    ours: &mut Ours,
) -> Result<T, Ended> {
    tokio::select! {
        biased;
        cut = place.cut() => Err(Ended::Cut(cut)),
        () = ours.gone() => Err(Ended::ClientLeft),
        done = what => Ok(done),
        () = sleep_until(until) => Err(Ended::TooLate),
    }
}

impl Ended {
    /// What the call comes to. `held` is why it was refused just now, if it was asked for at all.
    async fn told(
        self,
        asking: &mut Asking<'_>,
        held: Option<ExecuteError>,
    ) -> Result<Authorized, ExecuteError> {
        match (self, held) {
            (Self::ClientLeft, _) => Err(ExecuteError::Unavailable("the caller has left".to_owned())),
            (Self::Cut(Cut::Stopping), _) => {
                Err(ExecuteError::Unavailable("the node is stopping".to_owned()))
            }
            (Self::TooLate, Some(held)) => Err(held),
            // Behind somebody whose call is larger it may fit; a revoked key is told so.
            (Self::TooLate, None) | (Self::Cut(Cut::KeyRevoked), _) => asking.ask().await,
        }
    }
}
