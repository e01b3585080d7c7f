//! TLS on both listeners: who may connect how, and certificates that change while clients are connected.

mod certificates;
mod faults;
mod reload;

use std::process::Command;

use serde_json::json;

use crate::fake_provider::Behaviour;
use crate::harness::{Answer, Nemo, Setup};
use certificates::Authority;

/// A gateway with a certificate of an authority of its own.
struct Secured {
    nemo: Nemo,
    authority: Authority,
    /// Where the gateway reads its certificate and key.
    files: tempfile::TempDir,
}

impl Secured {
    async fn start(more: &str) -> Secured {
        let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
        authority.issue(files.path(), 1);
        let setup = Setup::default().server(&lines(files.path())).server(more).authority(authority.pem());
        Secured { nemo: setup.start().await, authority, files }
    }

    fn ca_file(&self) -> std::path::PathBuf {
        let path = self.files.path().join("ca.pem");
        std::fs::write(&path, self.authority.pem()).unwrap();
        path
    }
}

fn lines(files: &std::path::Path) -> String {
    let files = files.display();
    format!("tls_cert_file = \"{files}/cert.pem\"\ntls_key_file = \"{files}/key.pem\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_management_work_over_tls_and_http_2() {
    let secured = Secured::start("management_listen = \"127.0.0.1:0\"").await;
    let nemo = &secured.nemo;
    nemo.provider().script(Behaviour::success(9, 40));
    let key = nemo.rich_key().await;
    let response = key.request(key.body(json!({})).to_string().into()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    let stream = key.stream(json!({"stream_options": {"include_usage": true}})).await.rest().await;
    assert!(stream.is_done(), "{}", stream.text());
    assert_eq!(key.books_balance().await.len(), 2);
    // Who does not know HTTP/2 is served as well.
    let old = reqwest::Client::builder().no_proxy().http1_only();
    let old = old
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(secured.authority.pem().as_bytes()).unwrap());
    let ready = old.build().unwrap().get(nemo.url("/readyz")).send().await.unwrap();
    assert_eq!((ready.status().as_u16(), ready.version()), (200, http::Version::HTTP_11));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_and_strangers_authorities_get_nowhere() {
    let secured = Secured::start("").await;
    let plain = format!("http://{}/readyz", secured.nemo.address());
    assert!(reqwest::Client::builder().no_proxy().build().unwrap().get(plain).send().await.is_err());
    let stranger = Authority::new();
    let stranger = reqwest::Certificate::from_pem_bundle(stranger.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only(stranger).build().unwrap();
    assert!(client.get(secured.nemo.url("/readyz")).send().await.is_err());
    assert_eq!(Answer::of(secured.nemo.http().get(secured.nemo.url("/readyz"))).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_is_the_oldest_that_is_spoken() {
    let secured = Secured::start("").await;
    for (version, works) in [("-tls1_3", true), ("-tls1_2", true), ("-tls1_1", false)] {
        let address = secured.nemo.address().to_string();
        let spoken = tokio::task::spawn_blocking(move || {
            let mut openssl = Command::new("openssl");
            openssl.args(["s_client", "-connect", &address, version, "-cipher", "DEFAULT@SECLEVEL=0"]);
            openssl.stdin(std::process::Stdio::null()).output().expect("openssl is installed")
        });
        let spoken = spoken.await.unwrap();
        assert_eq!(spoken.status.success(), works, "{version}: {}", String::from_utf8_lossy(&spoken.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_trusts_the_authority_that_it_is_given() {
    let secured = Secured::start("").await;
    let (nemo, ca_file) = (&secured.nemo, secured.ca_file());
    let run = |args: Vec<String>, env: Option<(&'static str, std::path::PathBuf)>| {
        let mut command = nemo.cli();
        command.args(args).envs(env);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let list = || vec!["orgs".to_owned(), "list".to_owned()];
    let by_option = [list(), vec!["--ca-file".to_owned(), ca_file.display().to_string()]].concat();
    let done = run(by_option, None).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done = run(list(), Some(("NEMO_CA_FILE", ca_file))).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done = run(list(), None).await.unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(6), "{said}");
    assert!(said.contains("--ca-file"), "it says what to do: {said}");
    let done = run(list(), Some(("NEMO_CA_FILE", nemo.master_key_file()))).await.unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("NEMO_CA_FILE") && !said.contains(nemo.master_key()), "{said}");
}
