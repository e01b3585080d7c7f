//! The executor under everything that can go wrong.
