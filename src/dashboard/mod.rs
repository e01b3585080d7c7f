//! The dashboard: pages for people, made on the server. A page asks the same functions as `/api` and shows
//! what they answer.
//!
//! - Links and forms do everything; modules in `assets/` add what makes a page pleasant (dialogs, keyboard,
//!   copying, rows that follow the ledger). No script of anybody else.
//! - Every value is escaped by maud; `PreEscaped` does not occur here. No attribute `style`, no inline script.
//! - What a page hides the route refuses: `routes.rs` names the right that each needs.
//! - A full key is in the reply to the POST that made it and nowhere else.
//!
//! Where is …? The frame of all pages: `page.rs`; what they are made of: `components/`; their addresses:
//! `routes.rs`; one key, with replay: `key/`; style sheets and modules: `assets/`.

mod actors;
pub mod assets;
pub mod components;
pub mod failed;
pub mod headers;
mod key;
pub mod keys;
mod ledger;
mod live;
mod orgs;
mod overview;
pub mod page;
pub mod people;
pub mod playground;
mod prices;
pub mod routes;
pub mod visit;

pub use page::{Page, Place, Shown};
pub use visit::{Fields, Shows, Visit, see_other};
