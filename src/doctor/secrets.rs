//! The secrets directory: there, whole, its owner's alone, and without the master key.

use std::path::Path;

use nemo_store::EmbeddedStore;

use super::configuration::chain;
use super::finding::Findings;
use crate::auth::secrets::Secrets;
use crate::config::Config;

const CHECK: &str = "secrets";

pub(super) fn look(config: &Config, findings: &mut Findings) {
    let dir = config.server.secrets_dir();
    let has_ledger = config.server.data_dir.join(EmbeddedStore::FILE_NAME).exists();
    if !dir.exists() && !has_ledger {
        let next = "`nemo serve` makes them at its first start; `nemo init` does so now.";
        findings.warn(CHECK, format!("there are none yet in {}", dir.display()), next);
        return;
    }
    match Secrets::open(&dir) {
        // The text says what to do.
        Err(error) => findings.fail(CHECK, chain(&error), "A ledger's secrets cannot be made anew."),
        Ok(secrets) => {
            findings.ok(CHECK, format!("{} is whole and its owner's alone", dir.display()));
            look_for_master_key(secrets.master_key_file_still_there().as_deref(), findings);
        }
    }
}

fn look_for_master_key(file: Option<&Path>, findings: &mut Findings) {
    match file {
        None => findings.ok(CHECK, "the master key is not beside its digest"),
        Some(file) => {
            let found = format!(
                "the master key is still in {}: whoever gets hold of this machine manages all keys",
                file.display()
            );
            let next = "Move it to a safe place, such as a password manager, and remove the file. The gateway does \
                        not need it; commands take it from --master-key-file.";
            findings.warn(CHECK, found, next);
        }
    }
}
