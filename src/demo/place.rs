//! The demo's own directory: marked by a file, so that invented calls never get into a real ledger, nor real
//! ones into an invented one.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{Days, NaiveDate};

use super::plan::DAYS;

/// The file that marks a demo's directory and holds its first day.
const MARK: &str = "demo";
const WORDS: &str = "\
# The ledger in this directory is invented: `nemo serve --demo` wrote it. No provider was ever asked, nobody
# was ever billed. It may be deleted while the demo does not run. The date is the first day of its story.
";

/// A directory that is a demo's.
#[derive(Debug)]
pub(super) struct Place {
    /// The first day of its story.
    pub(super) first_day: NaiveDate,
}

impl Place {
    /// Takes up a demo's directory, or makes one where nothing is yet.
    ///
    /// # Errors
    /// A directory that has anything in it and is not marked: it may be a real ledger.
    pub(super) fn open(dir: &Path, today: NaiveDate) -> anyhow::Result<Self> {
        match first_day(dir)? {
            Some(first_day) => Ok(Self { first_day }),
            None if is_vacant(dir)? => Self::create(dir, today),
            None => anyhow::bail!(
                "{} is not a demo's directory, and invented calls are never written into another: leave \
                 --data-dir out, or name a directory that does not exist yet",
                dir.display()
            ),
        }
    }

    fn create(dir: &Path, today: NaiveDate) -> anyhow::Result<Self> {
        let first_day = today.checked_sub_days(Days::new(DAYS)).context("this machine's clock is not set")?;
        let create = || {
            fs::create_dir_all(dir)?;
            // Under its name whole or not at all.
            let draft = dir.join(".demo-unfinished");
            fs::write(&draft, format!("{WORDS}first-day = {first_day}\n"))?;
            fs::rename(draft, dir.join(MARK))
        };
        create().with_context(|| format!("cannot make the demo's directory {}", dir.display()))?;
        Ok(Self { first_day })
    }
}

/// Refuses a demo's directory to whoever would write real calls into it.
///
/// # Errors
/// The directory is a demo's.
pub fn refuse_demo(dir: &Path) -> anyhow::Result<()> {
    let mark = mark(dir);
    anyhow::ensure!(
        !mark.exists(),
        "the ledger in {} is a demo's, all of it invented: start it with `nemo serve --demo`, or name another \
         directory with --data-dir",
        dir.display()
    );
    Ok(())
}

fn mark(dir: &Path) -> PathBuf {
    dir.join(MARK)
}

fn first_day(dir: &Path) -> anyhow::Result<Option<NaiveDate>> {
    let mark = mark(dir);
    let text = match fs::read_to_string(&mark) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", mark.display())),
    };
    let day = text.lines().find_map(|line| line.strip_prefix("first-day = ")?.trim().parse().ok());
    let damaged = || format!("{} does not tell the demo's first day: delete the directory", mark.display());
    Ok(Some(day.with_context(damaged)?))
}

/// Whether nothing is there, or nothing but what an interrupted creation left.
fn is_vacant(dir: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(dir) {
        Ok(entries) => {
            let names: Vec<_> =
                entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
            Ok(names.iter().all(|name| name == ".demo-unfinished"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot look into {}", dir.display())),
    }
}
