//! TLS, certificates, users and passwords.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;

const PASSWORD: &str = "c0rrect horse: b@ttery/staple%";

struct Certificates {
    _dir: tempfile::TempDir,
    authority: std::path::PathBuf,
    chain: String,
    key: String,
}

fn certificates() -> Certificates {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let chain = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap().pem();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca & co.pem");
    std::fs::write(&file, authority_pem).unwrap();
    Certificates { _dir: dir, authority: file, chain, key: key.serialize_pem() }
}

fn secure(certificates: &Certificates) -> Simulator {
    let options = nemo_eventstoredb_simulator::Options::default()
        .tls(&certificates.chain, &certificates.key)
        .credentials("ops", PASSWORD);
    Simulator::start(options)
}

fn without_login(server: &Simulator) -> Options {
    let connection = format!("esdb://127.0.0.1:{}?tls=true", server.ports()[0]);
    let mut options = Options::new(&connection).unwrap();
    options.tuning = PATIENT;
    options
}

/// Why the store is away, once it is known.
async fn why_away(options: &Options) -> String {
    let store = EventStoreDb::connect(options).unwrap();
    until(&store, |reach| matches!(reach, Reach::Away { why } if why != "not connected yet")).await;
    let Reach::Away { why } = store.reach() else { panic!("{:?}", store.reach()) };
    let append = Script::of_key(1).next(1).send(&store).await.unwrap_err().to_string();
    let all = format!("{why} {append} {store:?} {options:?}");
    for secret in ["c0rrect", "staple", "Basic"] {
        assert!(!all.contains(secret), "{all}");
    }
    why
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secured_server_is_used_with_its_authority_and_a_login() {
    let certificates = certificates();
    let server = secure(&certificates);
    let options = without_login(&server).with_ca_file(&certificates.authority).unwrap();
    let store = connect(&options.with_login("ops", PASSWORD).unwrap()).await;
    let mut script = Script::of_key(1);
    let last = script.write(&store, 2).await;
    let mut subscription = store.subscribe_all(None).await.unwrap();
    assert_eq!(in_time(subscription.next()).await.unwrap().unwrap().len(), 2);
    assert_eq!(store.head().await.unwrap(), Some(last));
    assert_eq!(stored(&store, &script).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_can_be_switched_off_by_the_connection_string() {
    let certificates = certificates();
    let server = secure(&certificates);
    let encoded = percent_encoding::utf8_percent_encode(PASSWORD, percent_encoding::NON_ALPHANUMERIC);
    let connection = format!("esdb://ops:{encoded}@127.0.0.1:{}?tlsVerifyCert=false", server.ports()[0]);
    let store = connect(&Options::new(&connection).unwrap()).await;
    Script::of_key(1).write(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_authority_and_a_wrong_password_are_told_without_the_password() {
    let (trusted, other) = (certificates(), certificates());
    let server = secure(&trusted);
    let login = |options: Options, password| options.with_login("ops", password).unwrap();
    why_away(&login(without_login(&server), PASSWORD)).await;
    let foreign = without_login(&server).with_ca_file(&other.authority).unwrap();
    why_away(&login(foreign, PASSWORD)).await;
    let known = without_login(&server).with_ca_file(&trusted.authority).unwrap();
    let why = why_away(&login(known.clone(), "c0rrect is not this staple")).await;
    assert!(why.contains("access denied"), "{why}");
    assert!(why_away(&known).await.contains("access denied"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_ca_file_is_told_and_ends_nothing() {
    let server = secure(&certificates());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n").unwrap();
    let why = why_away(&without_login(&server).with_ca_file(&file).unwrap()).await;
    assert!(!why.is_empty());
}
