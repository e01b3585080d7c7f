//! One node: its port, its listener while it is up, its connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::routes::Routes;
use crate::shared::Shared;
use crate::wire::{Link, Wire};

/// Connections that the system keeps for a node that does not accept them yet.
const BACKLOG: u32 = 128;

/// A node's port, which stays its own while the node is down: bound but not listening, so that the system refuses
/// connections to it and gives it to nobody else.
pub(crate) struct Port {
    reserved: TcpSocket,
    pub(crate) number: u16,
}

impl Port {
    pub(crate) fn reserve(wanted: Option<u16>) -> io::Result<Self> {
        let reserved = bound(wanted.unwrap_or(0))?;
        let number = reserved.local_addr()?.port();
        Ok(Self { reserved, number })
    }

    fn listen(&self) -> io::Result<TcpListener> {
        debug_assert_eq!(self.reserved.local_addr()?.port(), self.number, "the reservation holds");
        bound(self.number)?.listen(BACKLOG)
    }
}

fn bound(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

pub(crate) struct Node {
    number: usize,
    port: Port,
    tls: Option<TlsAcceptor>,
    /// While it is up: what ends its listener, and what ends its connections.
    up: Option<Up>,
}

struct Up {
    listening: CancellationToken,
    connected: Connected,
    closed: std::sync::mpsc::Receiver<()>,
}

/// What ends the connections that are open; another one each time that it has.
#[derive(Clone)]
struct Connected(Arc<Mutex<CancellationToken>>);

impl Connected {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(CancellationToken::new())))
    }

    fn now(&self) -> CancellationToken {
        self.0.lock().unwrap().clone()
    }

    fn cut(&self) {
        std::mem::take(&mut *self.0.lock().unwrap()).cancel();
    }
}

impl Node {
    pub(crate) fn new(number: usize, port: Port, tls: Option<TlsAcceptor>) -> Self {
        Self { number, port, tls, up: None }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Accepts connections from now on.
    pub(crate) fn start(&mut self, shared: &Arc<Shared>, runtime: &Handle) -> io::Result<()> {
        if self.up.is_some() {
            return Ok(());
        }
        let _inside = runtime.enter();
        let listener = self.port.listen()?;
        let (listening, connected) = (CancellationToken::new(), Connected::new());
        let (closing, closed) = std::sync::mpsc::channel();
        let (wires, incoming) = mpsc::channel(1);
        let accept =
            Accept { shared: Arc::clone(shared), connected: connected.clone(), tls: self.tls.clone(), wires };
        let until = listening.clone();
        runtime.spawn(async move {
            let _ = until.run_until_cancelled(accept.run(listener)).await;
            let _ = closing.send(());
        });
        let server = tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .serve_with_incoming(Routes::new(shared, self.number), ReceiverStream::new(incoming));
        runtime.spawn(server);
        shared.members[self.number].is_up.store(true, Ordering::SeqCst);
        self.up = Some(Up { listening, connected, closed });
        Ok(())
    }

    /// Refuses connections from now on; when this returns nothing that came by the old ones is committed any more.
    pub(crate) fn stop(&mut self, shared: &Shared) {
        let Some(up) = self.up.take() else { return };
        shared.members[self.number].is_up.store(false, Ordering::SeqCst);
        up.listening.cancel();
        // An error means that the listener's task is gone, and the listener with it.
        let _ = up.closed.recv();
        up.connected.cut();
        shared.log.barrier();
    }

    /// Cuts the connections that are open; when this returns nothing that came by them is committed any more.
    pub(crate) fn cut(&self, shared: &Shared) {
        if let Some(up) = &self.up {
            up.connected.cut();
            shared.log.barrier();
        }
    }
}

/// Takes connections from the system to the services.
struct Accept {
    shared: Arc<Shared>,
    connected: Connected,
    tls: Option<TlsAcceptor>,
    wires: mpsc::Sender<io::Result<Boxed>>,
}

/// A connection with or without TLS.
type Boxed = Wire<Box<dyn Io>>;

pub(crate) trait Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Io for T {}

impl Accept {
    async fn run(self, listener: TcpListener) {
        let accept = Arc::new(self);
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // The process has no more files; some connection will end.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let accept = Arc::clone(&accept);
            tokio::spawn(async move {
                let connected = accept.connected.now();
                let _ = connected.run_until_cancelled(accept.hand_over(stream, &connected)).await;
            });
        }
    }

    async fn hand_over(&self, stream: TcpStream, connected: &CancellationToken) {
        let open = self.shared.counters.open(
            |counts| {
                counts.connections += 1;
                counts.open_connections += 1;
            },
            |counts| counts.open_connections -= 1,
        );
        let mut frozen = self.shared.faults.frozen();
        // An error means that the simulator is gone.
        let _ = frozen.wait_for(|frozen| !frozen).await;
        // Without these a lost connection would be noticed late, and an answer would wait for 40 ms.
        let _ = stream.set_nodelay(true);
        let _ = stream.set_zero_linger();
        let io: Box<dyn Io> = match &self.tls {
            Some(tls) => match tls.accept(stream).await {
                Ok(stream) => Box::new(stream),
                // A client that does not trust the certificate says so by hanging up.
                Err(_) => return,
            },
            None => Box::new(stream),
        };
        let wire = Wire::new(io, Link::new(connected), frozen, open);
        // An error means that the node has been stopped.
        let _ = self.wires.send(Ok(wire)).await;
    }
}
