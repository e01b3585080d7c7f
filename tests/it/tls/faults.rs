//! What is wrong with the files is said at the start, with the file and what to do.

use super::certificates::Authority;
use super::lines;
use crate::harness::Setup;

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_are_named_at_the_start() {
    let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
    let cases: [(&str, &str, &[&str]); 4] = [
        ("cert.pem", "", &["tls_cert_file", "cert.pem", "no certificate"]),
        ("key.pem", "nonsense", &["tls_key_file", "key.pem", "no private key"]),
        ("key.pem", ANOTHERS_KEY, &["cert.pem", "key.pem", "cannot be used"]),
        ("cert.pem", ANOTHERS_KEY, &["tls_cert_file", "cert.pem", "no certificate"]),
    ];
    for (file, text, said) in cases {
        authority.issue(files.path(), 1);
        std::fs::write(files.path().join(file), text).unwrap();
        let exited = Setup::default().server(&lines(files.path())).refused().await;
        for part in said {
            assert!(exited.stderr.contains(part), "{part}: {exited}");
        }
        assert!(!exited.stderr.contains("MC4CAQ"), "no key is repeated: {exited}");
    }
    let nowhere = files.path().join("nowhere");
    let exited = Setup::default().server(&lines(&nowhere)).refused().await;
    assert!(exited.stderr.contains("nowhere/cert.pem") && exited.stderr.contains("No such file"), "{exited}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_a_key_and_a_key_without_a_certificate_are_refused() {
    for (there, missing) in [("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")] {
        let exited = Setup::default().server(&format!("{there} = \"x.pem\"")).refused().await;
        assert!(exited.stderr.contains(&format!("server.{missing}")), "{exited}");
    }
}

/// A private key that belongs to no certificate here: the example of RFC 8410, section 10.3.
const ANOTHERS_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
