//! One connection, byte by byte: reading requests, sending answers while watching for the client's hang-up,
//! and breaking off in every way that TCP knows. A dropped connection is normal here and is the value
//! [`Gone`], never a panic.

use std::future::{Future, pending};
use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::behaviour::How;

const MAX_HEAD: usize = 256 * 1024;
const MAX_BODY: usize = 256 * 1024 * 1024;
const MAX_HEADERS: usize = 256;
/// How much a client may send ahead while it is being answered.
const MAX_AHEAD: usize = 1024 * 1024;

/// The client has closed or reset the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// Why there is no request.
#[derive(Debug)]
pub(super) enum NoRequest {
    Gone,
    Malformed(&'static str),
}

impl From<Gone> for NoRequest {
    fn from(_: Gone) -> NoRequest {
        NoRequest::Gone
    }
}

/// A request as it came over the wire.
#[derive(Debug)]
pub(super) struct RawRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) head: Bytes,
    pub(super) body: Bytes,
}

/// A connection and what it has sent that is not yet used.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
    inbox: BytesMut,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Peer {
        Peer { stream, inbox: BytesMut::new() }
    }

    /// Waits for the first byte of a request without reading it.
    pub(super) async fn first_byte(&self) -> Result<(), Gone> {
        if !self.inbox.is_empty() {
            return Ok(());
        }
        match self.stream.peek(&mut [0]).await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(Gone),
        }
    }

    /// Reads one request, its body included.
    pub(super) async fn read_request(&mut self) -> Result<RawRequest, NoRequest> {
        let mut request = loop {
            if let Some(request) = self.take_head()? {
                break request;
            }
            self.read_more().await?;
        };
        let header = |name: &str| {
            request
                .headers
                .iter()
                .find(|(other, _)| other.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
        };
        let length = header("content-length").map(str::parse::<usize>);
        let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        if header("expect").is_some() {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = match (chunked, length) {
            (true, None) => self.read_chunks().await?,
            (false, Some(Ok(length))) if length <= MAX_BODY => self.read_exactly(length).await?,
            (false, None) => Bytes::new(),
            _ => return Err(NoRequest::Malformed("bad content-length or transfer-encoding")),
        };
        Ok(request)
    }

    fn take_head(&mut self) -> Result<Option<RawRequest>, NoRequest> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let length = match parsed.parse(&self.inbox) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if self.inbox.len() <= MAX_HEAD => return Ok(None),
            _ => return Err(NoRequest::Malformed("bad request head")),
        };
        let (method, path) =
            (parsed.method.unwrap_or_default().to_owned(), parsed.path.unwrap_or_default().to_owned());
        let text = |header: &httparse::Header<'_>| {
            (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
        };
        let headers = parsed.headers.iter().map(text).collect();
        let head = self.inbox.split_to(length).freeze();
        Ok(Some(RawRequest { method, path, headers, head, body: Bytes::new() }))
    }

    async fn read_chunks(&mut self) -> Result<Bytes, NoRequest> {
        let mut body = BytesMut::new();
        loop {
            let (start, size) = match httparse::parse_chunk_size(&self.inbox) {
                Ok(httparse::Status::Complete((start, size))) => (start, size as usize),
                Ok(httparse::Status::Partial) => {
                    self.read_more().await?;
                    continue;
                }
                Err(_) => return Err(NoRequest::Malformed("bad chunk")),
            };
            if body.len().saturating_add(size) > MAX_BODY {
                return Err(NoRequest::Malformed("body too large"));
            }
            self.read_exactly(start).await?;
            body.extend_from_slice(&self.read_exactly(size).await?);
            self.read_exactly(2).await?;
            if size == 0 {
                return Ok(body.freeze());
            }
        }
    }

    async fn read_exactly(&mut self, length: usize) -> Result<Bytes, Gone> {
        while self.inbox.len() < length {
            self.read_more().await?;
        }
        Ok(self.inbox.split_to(length).freeze())
    }

    async fn read_more(&mut self) -> Result<(), Gone> {
        loop {
            self.stream.readable().await.map_err(|_| Gone)?;
            if self.take_in()? {
                return Ok(());
            }
        }
    }

    /// Reads what is there, if anything is.
    fn take_in(&mut self) -> Result<bool, Gone> {
        let mut arrived = [0; 8 * 1024];
        match self.stream.try_read(&mut arrived) {
            Ok(0) => Err(Gone),
            Ok(length) => {
                self.inbox.extend_from_slice(arrived.get(..length).unwrap_or_default());
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(_) => Err(Gone),
        }
    }

    /// Resolves when the client closes its side (half-closing counts) or resets; keeps what it sends
    /// meanwhile.
    async fn hung_up(&mut self) -> Gone {
        loop {
            if self.inbox.len() > MAX_AHEAD {
                pending::<()>().await;
            }
            if let Err(gone) = self.read_more().await {
                return gone;
            }
        }
    }

    /// Waits for something, but not longer than the client does.
    pub(super) async fn wait<T>(&mut self, something: impl Future<Output = T>) -> Result<T, Gone> {
        tokio::select! {
            biased;
            gone = self.hung_up() => Err(gone),
            value = something => Ok(value),
        }
    }

    pub(super) async fn pause(&mut self, delay: Duration) -> Result<(), Gone> {
        if delay.is_zero() {
            return self.wait(std::future::ready(())).await;
        }
        self.wait(tokio::time::sleep(delay)).await
    }

    /// Hands bytes to the socket, in as few segments as it takes.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let sent = match self.stream.try_write(bytes) {
                Ok(sent) => sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable().await?;
                    0
                }
                Err(_) => return Err(Gone),
            };
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits for room to write; a client that closes while it does not read is noticed too.
    async fn writable(&mut self) -> Result<(), Gone> {
        loop {
            tokio::select! {
                biased;
                readable = self.stream.readable(), if self.inbox.len() <= MAX_AHEAD => readable.map_err(|_| Gone)?,
                writable = self.stream.writable() => return writable.map_err(|_| Gone),
            }
            self.take_in()?;
        }
    }

    /// Breaks off; the connection ends with this value.
    pub(super) async fn break_off(mut self, how: How) {
        match how {
            How::Close | How::End => {}
            How::Hang => {
                let _gone = self.hung_up().await;
            }
            How::Reset => drop(SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))),
        }
    }
}
