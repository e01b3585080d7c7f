//! The dashboard over HTTP: what a browser is sent, before any script runs.

mod frame;
mod pages;
mod playground;
