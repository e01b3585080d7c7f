//! Whether a gateway runs on the ledger, and if not, whether it could listen.

use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::Deserialize;

use super::configuration::chain;
use super::finding::Findings;
use crate::config::Config;

const CHECK: &str = "ledger";
const LISTENING: &str = "listening";
/// How long the gateway may take to say whether it is ready: it asks its store meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who holds the ledger.
enum Holder {
    Nobody,
    Process(Option<u32>),
    Unknown(String),
}

/// `GET /readyz`
#[derive(Deserialize)]
struct Ready {
    status: String,
    #[serde(default)]
    reason: Option<String>,
}

/// Says who serves the ledger. Whether somebody does.
pub(super) async fn look(config: &Config, findings: &mut Findings) -> bool {
    let dir = &config.server.data_dir;
    match holder(dir) {
        Holder::Nobody => {
            findings.ok(CHECK, format!("nobody has {} open", dir.display()));
            false
        }
        Holder::Unknown(why) => {
            findings.warn(
                CHECK,
                format!("cannot tell who has {} open: {why}", dir.display()),
                "Run this as the user who runs the gateway.",
            );
            false
        }
        Holder::Process(pid) => {
            let process = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            look_at_readiness(config, &process, findings).await;
            true
        }
    }
}

async fn look_at_readiness(config: &Config, process: &str, findings: &mut Findings) {
    let address = config.server.management_listen.unwrap_or(config.server.listen);
    if address.port() == 0 {
        findings.ok(CHECK, format!("{process} serves it, at a port that the configuration leaves open"));
        return;
    }
    match ready(address).await {
        Ok(Ready { status, .. }) if status == "ready" => {
            findings.ok(CHECK, format!("{process} serves it at http://{address} and is ready"));
        }
        Ok(Ready { reason, .. }) => {
            let why = reason.unwrap_or_else(|| "it does not say why".to_owned());
            findings.fail(
                CHECK,
                format!("{process} serves it and is not ready: {why}"),
                "The gateway's log says more.",
            );
        }
        Err(why) => {
            let found = format!("{process} has it open and does not answer at http://{address}: {why}");
            findings.warn(
                CHECK,
                found,
                "Is it a gateway with another configuration, a backup or a verification?",
            );
        }
    }
}

async fn ready(address: SocketAddr) -> Result<Ready, String> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
    let client = client.map_err(|error| chain(&error))?;
    let answer = client.get(format!("http://{address}/readyz")).send().await;
    let answer = answer.map_err(|error| chain(&error.without_url()))?;
    answer.json().await.map_err(|_| "it is no gateway".to_owned())
}

/// Looks at the lock. It is taken for an instant at most, and shared.
fn holder(dir: &Path) -> Holder {
    let mut file = match File::open(dir.join("lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Holder::Nobody,
        Err(error) => return Holder::Unknown(error.to_string()),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Holder::Nobody,
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let pid = file.by_ref().take(32).read_to_string(&mut text).ok();
            Holder::Process(pid.and_then(|_| text.trim().parse().ok()))
        }
        Err(error) => Holder::Unknown(error.to_string()),
    }
}

/// Says whether the addresses are free.
pub(super) fn look_at_addresses(config: &Config, findings: &mut Findings) {
    let addresses = [Some(config.server.listen), config.server.management_listen];
    for address in addresses.into_iter().flatten() {
        match TcpListener::bind(address) {
            Ok(_) => findings.ok(LISTENING, format!("{address} is free")),
            Err(error) => {
                let next = "End what listens there, or name another address with server.listen.";
                findings.fail(LISTENING, format!("cannot listen on {address}: {error}"), next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_lock_tells_who_holds_it_and_looking_at_it_does_not_take_it() {
        let home = TempDir::new().unwrap();
        assert!(matches!(holder(home.path()), Holder::Nobody));
        std::fs::write(home.path().join("lock"), "4711\n").unwrap();
        assert!(matches!(holder(home.path()), Holder::Nobody), "whose process is long gone");
        let held = File::open(home.path().join("lock")).unwrap();
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(matches!(holder(home.path()), Holder::Process(Some(4711))));
    }
}
