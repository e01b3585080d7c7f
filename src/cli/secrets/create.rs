//! `nemo secrets create`: the secrets of a new ledger on a server, made once for all of its nodes. A ledger
//! in a data directory gets its own at the first start.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::of_disk;
use crate::auth::secrets::Secrets;
use crate::cli::exit::{CommandError, Exit, say};

/// Makes the directory with a new master key and a new pepper; never over another.
pub(super) fn create(dir: &Path) -> Result<(), CommandError> {
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|error| {
            CommandError::new(Exit::Failed, format!("Cannot create {}: {error}.", parent.display()))
        })?;
    }
    let (_, made) = Secrets::create(dir).map_err(of_disk)?;
    say(&format!(
        "Made a master key, its digest and a pepper in {}.\n\
         Next: move {} to a safe place; keep a copy of the rest apart from the ledger's backup, since without \
         it no key of the ledger can be verified; give the same directory to every node of the ledger.\n",
        dir.display(),
        made.master_key_file.display()
    ));
    Ok(())
}
