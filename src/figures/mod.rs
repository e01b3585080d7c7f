//! How figures are shown to people, on pages and in the command line's tables alike.

pub mod money;
pub mod time;
