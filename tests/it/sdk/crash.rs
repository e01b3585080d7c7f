//! The gateway dies under its clients, who try again by themselves: a request with an `Idempotency-Key` is not made
//! twice, and one without is, as its caller accepted.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::client::{CLIENTS, Sdk};
use super::{capped, case};
use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{INPUT, Nemo, OUTPUT};

/// A load balancer: connections go on to the gateway, and wait while there is none.
struct Balancer {
    address: SocketAddr,
    gateway: watch::Sender<Option<SocketAddr>>,
}

impl Balancer {
    async fn before(gateway: SocketAddr) -> Balancer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (gateway, known) = watch::channel(Some(gateway));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut known = known.clone();
                tokio::spawn(async move {
                    let Ok(Some(gateway)) = known.wait_for(Option::is_some).await.map(|known| *known) else {
                        return;
                    };
                    let mut gateway = TcpStream::connect(gateway).await.unwrap();
                    // Whoever ends first ends both.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut gateway).await;
                });
            }
        });
        Balancer { address, gateway }
    }

    fn goes_to(&self, gateway: Option<SocketAddr>) {
        self.gateway.send_replace(gateway);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_tries_again_after_a_crash_makes_no_second_call_of_a_request_with_a_key() {
    for name in CLIENTS {
        let nemo = Nemo::start().await;
        nemo.provider().script(Behaviour::success(9, 7));
        let (once, twice) = (capped(&nemo).await, capped(&nemo).await);
        let with_key = |stream: bool| {
            let mut case = case(&once, stream, json!({}));
            case["headers"] = json!({"Idempotency-Key": format!("order-4711-{stream}")});
            case
        };
        let cases = vec![with_key(false), with_key(true), case(&twice, false, json!({}))];
        let balancer = Balancer::before(nemo.address()).await;
        let sdk = Sdk::loaded(name).await;
        nemo.provider().hold_at(Phase::Received);
        let url = format!("http://{}/v1", balancer.address);
        let running = tokio::spawn(async move { sdk.at_once(&url, cases).await });
        nemo.provider().until_held(Phase::Received, 3).await.unwrap();
        balancer.goes_to(None);
        nemo.kill9().await;
        nemo.provider().release();
        nemo.restart().await;
        once.ended_calls().await;
        twice.ended_calls().await;
        balancer.goes_to(Some(nemo.address()));

        let seen = running.await.unwrap();
        assert!(seen.iter().all(|seen| seen["attempts"] == 2), "{name}: {seen:?}");
        let codes: Vec<&Value> = seen.iter().map(|seen| &seen["code"]).collect();
        assert_eq!(codes[..2], [&json!("call_already_billed"); 2], "{name}: {seen:?}");
        assert_eq!(seen[2]["finish"], "stop", "{name}: {seen:?}");
        assert_eq!(
            nemo.provider().request_count(),
            4,
            "{name}: three before, and the one without a key again"
        );
        let calls = once.books_balance().await;
        assert!(calls.iter().all(|call| call.end == "CallForfeited"), "{name}: {calls:?}");
        assert_eq!((calls.len(), once.charged().await), (2, calls[0].hold() + calls[1].hold()), "{name}");
        let calls = twice.books_balance().await;
        assert_eq!(calls.len(), 2, "{name}");
        assert_eq!(twice.charged().await, calls[0].hold() + 9 * INPUT + 7 * OUTPUT, "{name}");
    }
}
