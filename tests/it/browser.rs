//! Stories in a real Chromium: what people see and do, what a page may never do, and what a browser keeps.
//!
//! The scripts are in `tests/browser/`, one for each story, driven by playwright-core; `story.rs` starts them.
//! Screenshots go to `target/browser/<story>/`.

mod dashboard;
mod harness;
mod key;
mod orgs;
mod people;
mod pictures;
mod playground;
mod reference;
mod story;
mod types;

#[allow(unused_imports, reason = "for stories in which the test has a part")]
pub(crate) use story::{Story, tell};
