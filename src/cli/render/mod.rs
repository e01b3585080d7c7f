//! From what the server answered to text: a shape says which columns its rows have, and every output
//! format is made from the same rows. One file for each shape, one for each format.

pub mod call_detail;
pub mod calls;
pub mod cell;
pub mod csv;
pub mod events;
pub mod json;
pub mod key_detail;
pub mod keys;
pub mod operators;
pub mod org_detail;
pub mod orgs;
pub mod prices;
pub mod replay;
pub mod rows;
pub mod spend;
pub mod table;
pub mod text;
pub mod webhooks;

pub use crate::figures::{money, time};
pub use cell::{Cell, Column, Shape, Tone};
pub use rows::Rows;
