//! What the command line's own tests share: a server that answers from a script, and captured output.

#![allow(clippy::unwrap_used, reason = "a test may stop at its first surprise")]

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::auth::token::MasterKeyText;
use crate::cli::client::Client;
use crate::cli::output::Output;
use crate::cli::remote::Session;
use crate::cli::screen::Screen;

/// A master key of the right form; the digits of its secret are made up, its checksum is not.
pub(super) fn master_key() -> &'static MasterKeyText {
    static KEY: std::sync::OnceLock<MasterKeyText> = std::sync::OnceLock::new();
    KEY.get_or_init(|| MasterKeyText::generate().unwrap())
}

pub(super) fn client_of(server: &FakeServer) -> Client {
    Client::new(server.url.parse().unwrap(), master_key()).unwrap()
}

/// What a command wrote.
#[derive(Default)]
pub(super) struct Captured {
    data: Shared,
    words: Shared,
}

#[derive(Default, Clone)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Captured {
    /// A screen that writes here; a person answers if there is an answer.
    pub(super) fn screen(&self, answer: Option<&'static str>) -> Screen {
        Screen::captured(Box::new(self.data.clone()), Box::new(self.words.clone()), answer)
    }

    /// A session with a server that writes here.
    pub(super) fn session(
        &self,
        server: &FakeServer,
        output: Output,
        answer: Option<&'static str>,
    ) -> Session {
        Session { client: client_of(server), output, screen: self.screen(answer) }
    }

    pub(super) fn data(&self) -> String {
        self.data.text()
    }

    pub(super) fn words(&self) -> String {
        self.words.text()
    }
}

/// An answer from the script.
pub(super) struct Canned {
    status: u16,
    body: Option<String>,
}

impl Canned {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: Some(body.into()) }
    }

    pub(super) fn json(body: &serde_json::Value) -> Self {
        Self::new(200, body.to_string())
    }

    /// Closes the connection instead of answering.
    pub(super) const fn hang_up() -> Self {
        Self { status: 0, body: None }
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) head: String,
    pub(super) body: String,
}

impl Received {
    /// Method and target.
    pub(super) fn line(&self) -> &str {
        self.head.lines().next().unwrap().trim_end_matches(" HTTP/1.1")
    }
}

/// Answers its script in order, one request for each connection.
pub(super) struct FakeServer {
    url: String,
    requests: Arc<Mutex<Vec<Received>>>,
    serving: JoinHandle<()>,
}

impl FakeServer {
    pub(super) async fn answering(script: Vec<Canned>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let serving = tokio::spawn(serve(listener, script.into(), requests.clone()));
        Self { url, requests, serving }
    }

    pub(super) fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }

    /// Methods and targets of all requests.
    pub(super) fn lines(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.line().to_owned()).collect()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, mut script: VecDeque<Canned>, requests: Arc<Mutex<Vec<Received>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut stream = BufReader::new(stream);
        let received = receive(&mut stream).await;
        requests.lock().unwrap().push(received);
        let answer = script.pop_front().unwrap_or_else(|| Canned::new(500, "the script is at its end"));
        let Some(body) = answer.body else { continue };
        let (status, length) = (answer.status, body.len());
        let head = format!("HTTP/1.1 {status} Any\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

async fn receive(stream: &mut BufReader<TcpStream>) -> Received {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).await.unwrap() > 0, "the request ended early: {head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    Received { head, body: String::from_utf8(body).unwrap() }
}
