//! The dashboard over HTTP: what a browser is sent, before any script runs.

mod frame;
mod keys;
mod pages;
mod playground;
