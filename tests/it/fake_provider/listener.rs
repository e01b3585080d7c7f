//! The port: reserved as long as the provider lives by a socket that is bound but does not listen, so that
//! being down means ECONNREFUSED and coming back finds the same port.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::serve;
use super::state::State;

const PATIENCE: Duration = Duration::from_secs(5);
const BACKLOG: i32 = 1024;

/// A reserved port.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    /// Never listens; connections to it are refused.
    _reservation: Socket,
}

impl Port {
    /// Reserves this address (port 0: any), trying again while it is in use.
    pub(super) async fn reserve(wanted: SocketAddr) -> io::Result<Port> {
        let start = Instant::now();
        loop {
            match Port::try_reserve(wanted) {
                Err(error) if error.kind() == ErrorKind::AddrInUse && start.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                reserved => return reserved,
            }
        }
    }

    fn try_reserve(wanted: SocketAddr) -> io::Result<Port> {
        let reservation = bound(wanted)?;
        let address = reservation.local_addr()?.as_socket().ok_or(ErrorKind::AddrNotAvailable)?;
        Ok(Port { address, _reservation: reservation })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens, and accepts until the result is dropped. Tries again while the port is in use: another socket
    /// that was given it while nobody listened may have to end first.
    pub(super) fn listen(&self, runtime: &Runtime, state: &Arc<State>) -> io::Result<Listening> {
        let start = Instant::now();
        loop {
            match self.try_listen(runtime, state) {
                Err(error) if error.kind() == ErrorKind::AddrInUse && start.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                listening => return listening,
            }
        }
    }

    fn try_listen(&self, runtime: &Runtime, state: &Arc<State>) -> io::Result<Listening> {
        let socket = bound(self.address)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let _entered = runtime.enter();
        let listener = TcpListener::from_std(socket.into())?;
        let (closed, is_closed) = mpsc::channel();
        let open = Open { listener, _closed: closed };
        Ok(Listening { accepting: runtime.spawn(accept(open, Arc::clone(state))), is_closed })
    }
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A listener at work. Dropping it returns when the listener is closed.
#[derive(Debug)]
pub(super) struct Listening {
    accepting: JoinHandle<()>,
    is_closed: mpsc::Receiver<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
        // Nothing is ever sent: this ends when the other side is dropped, which is after the listener.
        let _ = self.is_closed.recv_timeout(PATIENCE);
    }
}

/// Fields are dropped in this order.
struct Open {
    listener: TcpListener,
    _closed: mpsc::Sender<()>,
}

async fn accept(open: Open, state: Arc<State>) {
    loop {
        match open.listener.accept().await {
            Ok((stream, _)) => {
                // Without it, small pieces wait for the acknowledgement of earlier ones.
                drop(stream.set_nodelay(true));
                tokio::spawn(serve::connection(Arc::clone(&state), stream));
            }
            // Out of file descriptors, or a connection that is already gone.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Waits, without a runtime, for something that other threads bring about in a moment.
pub(super) fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
}
