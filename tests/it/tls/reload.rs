//! A new certificate is taken up without a restart, and nobody who is connected notices.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use super::Secured;
use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Nemo, until};

/// The serial number of the certificate that a new connection is shown.
async fn serial(nemo: &Nemo) -> String {
    let address = nemo.address().to_string();
    let shown = tokio::task::spawn_blocking(move || {
        let script = "openssl s_client -connect \"$0\" </dev/null 2>/dev/null | openssl x509 -noout -serial";
        Command::new("sh").args(["-c", script, &address]).stderr(Stdio::null()).output().unwrap()
    });
    String::from_utf8(shown.await.unwrap().stdout).unwrap().trim().to_owned()
}

async fn until_serial(nemo: &Nemo, wanted: &str) {
    let is_shown = || async { (serial(nemo).await == wanted).then_some(()) };
    until("the new certificate is shown", is_shown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_up_and_streams_go_on() {
    let secured = Secured::start("").await;
    let nemo = &secured.nemo;
    assert_eq!(serial(nemo).await, "serial=01");
    nemo.provider().script(Behaviour::success(9, 40));
    nemo.provider().hold_at(Phase::MidStream(2));
    let key = nemo.rich_key().await;
    let mut stream = key.stream(json!({})).await;
    stream.until("one two").await;
    // Found by itself.
    secured.authority.issue(secured.files.path(), 2);
    until_serial(nemo, "serial=02").await;
    // Found at once, on being told.
    secured.authority.issue(secured.files.path(), 3);
    nemo.signal(Signal::HUP);
    until_serial(nemo, "serial=03").await;
    nemo.provider().release();
    assert!(stream.rest().await.is_done());
    key.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_changes_nothing() {
    let secured = Secured::start("").await;
    let nemo = &secured.nemo;
    let cert = secured.files.path().join("cert.pem");
    let good = std::fs::read(&cert).unwrap();
    std::fs::write(&cert, "half a certificate").unwrap();
    nemo.signal(Signal::HUP);
    nemo.stderr().until("the old one stays").await;
    assert_eq!(serial(nemo).await, "serial=01");
    // One that belongs to another key is no better.
    let other = tempfile::tempdir().unwrap();
    secured.authority.issue(other.path(), 9);
    std::fs::copy(other.path().join("cert.pem"), &cert).unwrap();
    nemo.signal(Signal::HUP);
    nemo.stderr().until("cannot be used: ").await;
    assert_eq!(serial(nemo).await, "serial=01");
    std::fs::write(&cert, good).unwrap();
    secured.authority.issue(secured.files.path(), 4);
    nemo.signal(Signal::HUP);
    until_serial(nemo, "serial=04").await;
}
