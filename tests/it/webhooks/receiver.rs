//! A receiver of webhooks: real sockets, one connection after the other, and an answer that a test chooses. Its port
//! is reserved, so that being away means that connections are refused.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::harness::until;

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Takes,
    Answers(u16),
    Hangs,
    Away,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// What it was answered; 0 for nothing.
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    accepting: Mutex<Option<JoinHandle<()>>>,
    _reservation: Socket,
}

#[derive(Debug)]
struct State {
    manner: Mutex<Manner>,
    received: Mutex<Vec<Received>>,
}

impl Receiver {
    pub(super) async fn start(manner: Manner) -> Receiver {
        let reservation = bound("127.0.0.1:0".parse().unwrap());
        let address = reservation.local_addr().unwrap().as_socket().unwrap();
        let state = State { manner: Mutex::new(manner), received: Mutex::default() };
        let receiver = Receiver {
            address,
            state: Arc::new(state),
            accepting: Mutex::default(),
            _reservation: reservation,
        };
        receiver.is(manner).await;
        receiver
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hooks/path-that-is-a-secret", self.address)
    }

    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub(super) async fn is(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
        let running = self.accepting.lock().unwrap().take();
        if manner == Manner::Away {
            if let Some(running) = running {
                running.abort();
                // Until the listener is closed.
                let _ = running.await;
            }
            return;
        }
        let running = running.unwrap_or_else(|| {
            let socket = bound(self.address);
            socket.listen(64).unwrap();
            socket.set_nonblocking(true).unwrap();
            let listener = TcpListener::from_std(socket.into()).unwrap();
            tokio::spawn(accept(listener, Arc::clone(&self.state)))
        });
        *self.accepting.lock().unwrap() = Some(running);
    }

    pub(super) fn all(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// What it took, in the order in which it did.
    pub(super) fn taken(&self) -> Vec<Received> {
        self.all().into_iter().filter(|received| received.status == 204).collect()
    }

    pub(super) fn taken_types(&self) -> Vec<String> {
        self.taken().iter().map(|message| message.json()["type"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until it took messages of these types, in this order and no others.
    pub(super) async fn until_taken(&self, types: &[&str]) {
        until(&format!("it was told {types:?}, not {:?}", self.taken_types()), || async {
            (self.taken_types().len() >= types.len()).then_some(())
        })
        .await;
        assert_eq!(self.taken_types(), types);
    }

    /// Waits until so many requests came in, whatever they were answered.
    pub(super) async fn until_asked(&self, times: usize) {
        until("it is asked", || async { (self.all().len() >= times).then_some(()) }).await;
    }
}

impl Received {
    pub(super) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name}: {}", self.head))
    }

    pub(super) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The headers that a signature needs.
    pub(super) fn headers(&self) -> Value {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        names
            .into_iter()
            .map(|name| (name.to_owned(), json!(self.header(name))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((connection, _)) = listener.accept().await {
        tokio::spawn(serve(connection, Arc::clone(&state)));
    }
}

/// One request a connection: each attempt meets the manner of its moment.
async fn serve(mut connection: TcpStream, state: Arc<State>) {
    let mut received = Vec::new();
    let (head, length) = loop {
        if let Some(found) = head_of(&received) {
            break found;
        }
        if connection.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
    };
    while received.len() < head + length {
        if connection.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let manner = *state.manner.lock().unwrap();
    let status = match manner {
        Manner::Takes => 204,
        Manner::Answers(status) => status,
        Manner::Hangs | Manner::Away => 0,
    };
    let body = received.split_off(head);
    // Names of headers are lower-case already, as HTTP/2 wants them.
    let head = String::from_utf8(received).unwrap();
    state.received.lock().unwrap().push(Received { status, head, body });
    if status == 0 {
        // Until the other side gives up.
        let _ = connection.read_buf(&mut Vec::new()).await;
        return;
    }
    // What it says besides its status is nobody's business, however much it is.
    let answer = format!(
        "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let _ = connection.write_all(answer.as_bytes()).await;
}

/// Where the head ends, and how long the body is, once the head is there.
fn head_of(received: &[u8]) -> Option<(usize, usize)> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    Some((end, length))
}
