//! What comes back: whole answers, streams as they arrive, and raw bytes.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::PATIENCE;
use super::described::Asked;
use super::ledger::nanos;

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// Sends a request to Nemo and reads the answer to its end. It must be one that the document allows.
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Answer {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let asked = Asked::of(&request);
        let answer = Answer::read(client.execute(request).await.expect("an answer")).await;
        asked.answered(answer.status, &answer.headers, Some(&answer.body));
        answer
    }

    /// Sends a request as a browser does, for a page or a part of one: these are in no document. Whatever comes
    /// back must be closed against other sites and kept by nobody, unless it is an asset.
    pub(crate) async fn browsed(request: reqwest::RequestBuilder) -> Answer {
        let (client, request) = request.header("accept", "text/html,*/*;q=0.8").build_split();
        let request = request.expect("a request");
        let path = request.url().path().to_owned();
        let answer = Answer::read(client.execute(request).await.expect("an answer")).await;
        assert!(answer.headers.contains_key("x-request-id"), "an answer without an id: {path}");
        if !(path.starts_with("/assets/") && answer.status == 200) {
            let policy =
                answer.header("content-security-policy").unwrap_or_else(|| panic!("{path}: no policy"));
            for rule in ["default-src 'none'", "frame-ancestors 'none'", "trusted-types 'none'"] {
                assert!(policy.contains(rule) && !policy.contains("unsafe"), "{path}: {policy}");
            }
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
            assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        answer
    }

    /// Sends a request to somebody else.
    pub(super) async fn of_provider(request: reqwest::RequestBuilder) -> Answer {
        Answer::read(request.send().await.expect("an answer")).await
    }

    async fn read(response: reqwest::Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.expect("a whole body") }
    }

    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{} no JSON: {}", self.status, self.text()))
    }

    /// Nemo's code of an error, in OpenAI's dialect or as problem details.
    pub(crate) fn code(&self) -> String {
        let body = self.json();
        body["error"]["code"].as_str().or(body["code"].as_str()).unwrap_or_default().to_owned()
    }

    /// `x-nemo-cost` in nano-dollars.
    pub(crate) fn cost(&self) -> i128 {
        nanos(&self.header("x-nemo-cost").unwrap_or_else(|| panic!("no cost: {self:?}")).into())
    }

    /// Whether it tells the official clients not to try again.
    pub(crate) fn forbids_retry(&self) -> bool {
        self.header("x-should-retry") == Some("false")
    }

    /// Fails unless it is a success; the body.
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        self.json()
    }

    /// Fails unless it is this error.
    pub(crate) fn refused(&self, status: u16, code: &str) -> &Answer {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text());
        self
    }
}

/// An answer that is still arriving. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Streaming {
    /// The status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    response: reqwest::Response,
    received: Vec<u8>,
}

/// A stream that has come to its end.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    /// All its bytes, from the first on.
    pub(crate) bytes: Vec<u8>,
    /// Whether the HTTP body was ended properly.
    pub(crate) ended: bool,
}

impl Streaming {
    /// Sends a request; returns once the head is there.
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Streaming {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let asked = Asked::of(&request);
        let response = client.execute(request).await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        asked.answered(status, &headers, None);
        Streaming { status, headers, response, received: Vec::new() }
    }

    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// What has arrived and was looked at.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// Reads until this has arrived.
    pub(crate) async fn until(&mut self, part: &str) {
        while !self.text().contains(part) {
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            match chunk.unwrap_or_else(|_| panic!("{part:?} did not arrive: {}", self.text())) {
                Ok(Some(bytes)) => self.received.extend_from_slice(&bytes),
                end => panic!("ended ({end:?}) without {part:?}: {}", self.text()),
            }
        }
    }

    /// Reads to its end.
    pub(crate) async fn rest(mut self) -> Tail {
        loop {
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.received.extend_from_slice(&bytes),
                end => return Tail { bytes: self.received, ended: end.is_ok() },
            }
        }
    }
}

impl Tail {
    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    /// The data of its events, in order.
    pub(crate) fn data(&self) -> Vec<String> {
        sse_data(&self.text())
    }

    /// The JSON of its events but for `[DONE]`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.data();
        let json = data.iter().filter(|data| *data != "[DONE]");
        json.map(|data| serde_json::from_str(data).unwrap_or_else(|_| panic!("no JSON: {data}"))).collect()
    }

    /// The content of the first choice, put together.
    pub(crate) fn content(&self) -> String {
        let content = |event: &Value| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
        self.events().iter().filter_map(content).collect()
    }

    /// The code of the error in it.
    pub(crate) fn error_code(&self) -> Option<String> {
        self.events().iter().find_map(|event| Some(event["error"]["code"].as_str()?.to_owned()))
    }

    /// Whether it ends as a good stream does.
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.data().last().is_some_and(|last| last == "[DONE]")
    }
}

/// The data of the events in a stream. Every line must end as the others do.
pub(crate) fn sse_data(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).collect()
}

/// A socket, for requests that no client would send and clients that leave.
#[derive(Debug)]
pub(crate) struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Raw {
    pub(super) async fn send(address: SocketAddr, bytes: &[u8]) -> Raw {
        Raw::over(TcpStream::connect(address).await.expect("a connection"), bytes).await
    }

    /// Takes no more than a few kilobytes that nobody reads.
    pub(super) async fn send_narrow(address: SocketAddr, bytes: &[u8]) -> Raw {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        Raw::over(socket.connect(address).await.expect("a connection"), bytes).await
    }

    async fn over(mut stream: TcpStream, bytes: &[u8]) -> Raw {
        stream.write_all(bytes).await.expect("the request is taken");
        Raw { stream, received: Vec::new() }
    }

    /// Sends more.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the bytes are taken");
    }

    /// Reads until this has arrived.
    pub(crate) async fn until(&mut self, part: &str) {
        while !self.text().contains(part) {
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.received)).await;
            let read = read.unwrap_or_else(|_| panic!("{part:?} did not arrive: {}", self.text()));
            assert!(read.is_ok_and(|read| read > 0), "ended without {part:?}: {}", self.text());
        }
    }

    /// Reads until the other side closes. The request should say `connection: close`.
    pub(crate) async fn rest(mut self) -> String {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut self.received)).await;
        match read.expect("an end") {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => self.text(),
        }
    }

    /// What has arrived.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// Says that it will send nothing more, and goes on listening.
    pub(crate) async fn close_half(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Reads what comes next, or that nothing does.
    pub(crate) async fn read_some(&mut self) {
        let _ = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.received)).await;
    }

    /// Leaves in an orderly way (FIN).
    pub(crate) async fn hang_up(mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Leaves as a crash does (RST).
    pub(crate) fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().expect("text in a header"))
}
