//! A connection that can be cut at any byte, and frozen.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::counters::Open;

/// What a call knows of the connection that it came by.
#[derive(Clone)]
pub(crate) struct Link {
    cut: CancellationToken,
    cut_in_next_answer: Arc<AtomicBool>,
}

impl Link {
    pub(crate) fn new(node: &CancellationToken) -> Self {
        Self { cut: node.child_token(), cut_in_next_answer: Arc::new(AtomicBool::new(false)) }
    }

    /// Resets the connection; nothing is read or written any more.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// Sends half of the next answer, then resets the connection.
    pub(crate) fn cut_in_next_answer(&self) {
        self.cut_in_next_answer.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Comes back when the connection is cut.
    pub(crate) async fn until_cut(&self) {
        self.cut.cancelled().await;
    }
}

type Thawed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The server's side of a connection.
pub(crate) struct Wire<IO> {
    io: IO,
    link: Link,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    frozen: watch::Receiver<bool>,
    thawed: Option<Thawed>,
    frames: Frames,
    _open: Open,
}

impl<IO> Wire<IO> {
    pub(crate) fn new(io: IO, link: Link, frozen: watch::Receiver<bool>, open: Open) -> Self {
        let cut = Box::pin(link.cut.clone().cancelled_owned());
        Self { io, link, cut, frozen, thawed: None, frames: Frames::default(), _open: open }
    }

    /// Ready while the connection is neither cut nor frozen.
    fn poll_usable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.thawed.is_none() && *self.frozen.borrow() {
            let mut frozen = self.frozen.clone();
            self.thawed = Some(Box::pin(async move {
                // An error means that the simulator is gone, and with it this connection.
                let _ = frozen.wait_for(|frozen| !frozen).await;
            }));
        }
        if let Some(thawed) = &mut self.thawed {
            ready!(thawed.as_mut().poll(cx));
            self.thawed = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO> Connected for Wire<IO> {
    type ConnectInfo = Link;

    fn connect_info(&self) -> Link {
        self.link.clone()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Wire<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_usable(cx))?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_usable(cx))?;
        let armed = self.link.cut_in_next_answer.load(Ordering::SeqCst);
        let half = if armed { self.frames.half_of_first_data(buf) } else { None };
        let allowed = half.map_or(buf, |half| &buf[..half]);
        if allowed.is_empty() && half.is_some() {
            self.link.cut();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, allowed))?;
        self.frames.pass(&buf[..written]);
        if half == Some(written) {
            self.link.cut();
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_usable(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_usable(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Follows HTTP/2 frames (RFC 9113 section 4.1) through what is written.
#[derive(Default)]
struct Frames {
    header: [u8; Self::HEADER],
    have: usize,
    payload_left: usize,
}

impl Frames {
    const HEADER: usize = 9;
    const DATA: u8 = 0;

    /// How many of these bytes go up to the middle of the first DATA frame's payload.
    fn half_of_first_data(&self, bytes: &[u8]) -> Option<usize> {
        let mut frames = Self { ..*self };
        for (place, byte) in bytes.iter().enumerate() {
            if frames.step(*byte) && frames.header[3] == Self::DATA && frames.payload_left > 1 {
                return Some((place + 1 + frames.payload_left / 2).min(bytes.len()));
            }
        }
        None
    }

    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    /// Takes one byte; true if it completes a frame's header.
    fn step(&mut self, byte: u8) -> bool {
        if self.payload_left > 0 {
            self.payload_left -= 1;
            return false;
        }
        self.header[self.have] = byte;
        self.have += 1;
        if self.have < Self::HEADER {
            return false;
        }
        self.have = 0;
        let [high, middle, low, ..] = self.header;
        self.payload_left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        true
    }
}
