//! Tells systemd, where it asks, that the node is ready and that it stops: one datagram each (`sd_notify`).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

/// Where the supervisor listens.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Calls are taken from now on.
pub fn ready() {
    tell("READY=1");
}

/// The node drains and ends.
pub fn stopping() {
    tell("STOPPING=1");
}

fn tell(state: &str) {
    let Some(socket) = env::var_os(VARIABLE) else { return };
    if let Err(error) = send(&socket, state) {
        warn!(%error, state, "the supervisor cannot be told");
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}
