//! No overshoot, however many ask at once.

use std::sync::Arc;

use nemo_projections::Refusal;

use super::support::*;
use crate::ledger::{Authorized, ExecuteError};

async fn asks_all(nodes: &[Arc<Node>], calls: std::ops::Range<u128>) -> Vec<Authorized> {
    let asking: Vec<_> = calls
        .map(|n| {
            let node = Arc::clone(&nodes[usize::try_from(n).unwrap() % nodes.len()]);
            tokio::spawn(async move {
                let account = node.account(key_id(1)).await;
                node.ledger.authorize(&account, call(n)).await
            })
        })
        .collect();
    let mut authorized = Vec::new();
    for asking in asking {
        match answer(asking).await {
            Ok(leave) => authorized.push(leave),
            Err(ExecuteError::Refused(Refusal::BudgetHeld(_) | Refusal::BudgetExceeded(_))) => {}
            Err(error) => panic!("{error}"),
        }
    }
    authorized
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_that_ask_at_once_exactly_as_many_are_let_as_fit() {
    for fits in [0, 1, 7, 63, 64, 100] {
        let node = Arc::new(node().await);
        node.key(room_for(fits)).await;
        let authorized = asks_all(&[Arc::clone(&node)], 0..64).await;
        assert_eq!(authorized.len(), usize::try_from(fits.min(64)).unwrap());
        assert_eq!(node.history(key_id(1)).await.authorized().len(), authorized.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_together_let_exactly_as_many_as_fit() {
    for _ in 0..10 {
        let one = Arc::new(node().await);
        one.key(room_for(10)).await;
        let two = Arc::new(another_node(&one.store.memory, PACE).await);
        let authorized = asks_all(&[Arc::clone(&one), two], 0..64).await;
        assert_eq!(authorized.len(), 10);
        assert_eq!(one.history(key_id(1)).await.authorized().len(), 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_ends_make_free_is_given_out_again_and_the_sums_are_exact() {
    let node = Arc::new(node().await);
    node.key(room_for(10)).await;
    let mut charged = 0;
    for round in 0..4 {
        let authorized = asks_all(&[Arc::clone(&node)], round * 64..(round + 1) * 64).await;
        let fits = (10 * HOLD - charged) / HOLD;
        assert_eq!(i64::try_from(authorized.len()).unwrap(), fits);
        let ends = authorized.into_iter().enumerate().map(|(n, leave)| {
            tokio::spawn(async move {
                let call = leave.event().call;
                if n % 2 == 0 { leave.settle(settle(call)).await } else { leave.void(void(call)).await }
            })
        });
        for end in ends.collect::<Vec<_>>() {
            charged += answer(end).await.unwrap().charged.as_nanos();
        }
        let seen = answer(node.looks(key_id(1)).await).await.unwrap();
        assert_eq!((seen.open, seen.settled.as_nanos()), (0, charged));
    }
    node.history(key_id(1)).await;
}
