//! Whether a gateway runs on the ledger, and if not, whether it could listen.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::Deserialize;

use super::configuration::chain;
use super::finding::Findings;
use crate::config::Config;
use crate::tls::Tls;

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
    let scheme = if config.server.tls_cert_file.is_some() { "https" } else { "http" };
    if address.port() == 0 {
        findings.ok(CHECK, format!("{process} serves it, at a port that the configuration leaves open"));
        return;
    }
    let url = format!("{scheme}://{address}");
    match ready(&url).await {
        Ok(Ready { status, .. }) if status == "ready" => {
            findings.ok(CHECK, format!("{process} serves it at {url} and is ready"));
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
            let found = format!("{process} has it open and does not answer at {url}: {why}");
            findings.warn(
                CHECK,
                found,
                "Is it a gateway with another configuration, a backup or a verification?",
            );
        }
    }
}

/// Whose certificate it is does not matter here: nothing secret is sent, and an address is no name.
async fn ready(url: &str) -> Result<Ready, String> {
    let client =
        reqwest::Client::builder().no_proxy().timeout(PATIENCE).tls_danger_accept_invalid_certs(true).build();
    let client = client.map_err(|error| chain(&error))?;
    let answer = client.get(format!("{url}/readyz")).send().await;
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

/// Says whether certificate and key can be used.
pub(super) fn look_at_tls(config: &Config, findings: &mut Findings) {
    match Tls::open(&config.server) {
        Ok(None) => {}
        Ok(Some(_)) => findings.ok(LISTENING, "the certificate and its key belong together"),
        Err(error) => {
            let next =
                "Mend server.tls_cert_file and server.tls_key_file: PEM, the whole chain, and its key.";
            findings.fail(LISTENING, chain(&error), next);
        }
    }
}

/// Says whether the addresses are free.
pub(super) fn look_at_addresses(config: &Config, findings: &mut Findings) {
    let addresses = [Some(config.server.listen), config.server.management_listen];
    // Port 0 stands for any that is free.
    for address in addresses.into_iter().flatten().filter(|address| address.port() != 0) {
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
