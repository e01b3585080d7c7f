//! Protocols between streams, searched exhaustively: every order of steps that the real thing could take, at
//! a size small enough that all of them can be tried.
//!
//! A model is built before what it describes. Each comes with variants that are broken on purpose, and the
//! search must find what is wrong with them: a law that no variant breaks says nothing.

#![expect(clippy::indexing_slicing, reason = "the worlds are arrays of fixed, tiny sizes")]

pub mod allotment;
pub mod search;

#[cfg(test)]
mod tests;
