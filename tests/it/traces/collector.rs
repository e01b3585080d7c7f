//! A collector of traces: takes what is posted to it, over real sockets, and keeps the bytes. Names, ids and
//! texts stand in protobuf as they are, so looking for them needs no decoder.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::contains;
use crate::harness::until;

pub(super) struct Collector {
    address: std::net::SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    bodies: Mutex<Vec<u8>>,
    refuses: AtomicBool,
}

impl Collector {
    pub(super) async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let of_task = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&of_task)));
            }
        });
        Collector { address, state }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// Says no to everything from now on.
    pub(super) fn refuse(&self) {
        self.state.refuses.store(true, Ordering::SeqCst);
    }

    pub(super) fn resume(&self) {
        self.state.refuses.store(false, Ordering::SeqCst);
    }

    /// All bodies so far.
    pub(super) fn received(&self) -> Vec<u8> {
        self.state.bodies.lock().unwrap().clone()
    }

    /// Waits until these bytes were sent.
    pub(super) async fn until(&self, part: &[u8]) {
        let what = format!("{:?} is sent", String::from_utf8_lossy(part));
        until(&what, || async { contains(&self.received(), part).then_some(()) }).await;
    }
}

async fn serve(mut connection: TcpStream, state: Arc<State>) {
    let mut received = Vec::new();
    loop {
        let Some((head, length)) = head_of(&received) else {
            if connection.read_buf(&mut received).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        while received.len() < head + length {
            if connection.read_buf(&mut received).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let text = String::from_utf8_lossy(&received[..head]).to_lowercase();
        assert!(text.starts_with("post /v1/traces ") && text.contains("application/x-protobuf"), "{text}");
        let answer = if state.refuses.load(Ordering::SeqCst) {
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
        } else {
            state.bodies.lock().unwrap().extend_from_slice(&received[head..head + length]);
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
        };
        received.drain(..head + length);
        if connection.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Where the head ends, and how long the body is, once the head is there.
fn head_of(received: &[u8]) -> Option<(usize, usize)> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    Some((end, length))
}
