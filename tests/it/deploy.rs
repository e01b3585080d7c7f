//! What is under `scripts/deploy`: the supervisor is told the truth, and the files there fit the program.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use nemo::config::{Config, Environment};

use crate::harness::{PATIENCE, Setup};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/deploy")
}

fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).expect("the supervisor is told");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisor_is_told_when_the_node_is_ready_and_when_it_stops() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let nemo = Setup::default().env("NOTIFY_SOCKET", path.to_str().unwrap()).start().await;
    let (socket, told) = tokio::task::spawn_blocking(move || {
        let told = heard(&socket);
        (socket, told)
    })
    .await
    .unwrap();
    assert_eq!(told, "READY=1");
    nemo.http().get(nemo.url("/readyz")).send().await.unwrap().error_for_status().expect("it is ready");
    assert!(nemo.terminate().await.success());
    let told = tokio::task::spawn_blocking(move || heard(&socket)).await.unwrap();
    assert_eq!(told, "STOPPING=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_does_not_listen_keeps_nothing_from_starting() {
    let nemo = Setup::default().env("NOTIFY_SOCKET", "/nowhere/at/all").start().await;
    nemo.stderr().until("the supervisor cannot be told").await;
}

#[test]
fn the_configurations_are_ones_that_nemo_reads() {
    for (file, providers) in [("nemo.toml", 1), ("compose.nemo.toml", 1)] {
        let config = Config::load(Some(&folder().join(file)), &Environment::default()).unwrap();
        assert_eq!(config.providers.len(), providers, "{file}");
        assert!(config.notices.is_empty(), "{file}: {:?}", config.notices);
    }
}

/// With the checks of systemd itself, where it is installed.
#[test]
fn the_unit_is_one_that_systemd_understands() {
    let unit = fs::read_to_string(folder().join("nemo.service")).unwrap();
    let home = tempfile::tempdir().unwrap();
    // The program need not be installed here.
    let path = home.path().join("nemo.service");
    fs::write(&path, unit.replace("/usr/local/bin/nemo", env!("CARGO_BIN_EXE_nemo"))).unwrap();
    let Ok(checked) = Command::new("systemd-analyze").arg("verify").arg(&path).output() else {
        println!("systemd-analyze is not installed: the unit is not checked");
        return;
    };
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}
