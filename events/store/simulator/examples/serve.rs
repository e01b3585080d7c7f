//! A simulated server to try things with by hand:
//! `cargo run -p nemo-eventstoredb-simulator --example serve -- [PORT] [FILE]`
//! listens on that port (otherwise on a free one), keeps its log in that file (otherwise in memory), and says where
//! clients connect. It ends with its input.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool for trying things by hand")]

use std::io::Read;

use nemo_eventstoredb_simulator::{Options, Simulator};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options::default();
    if let Some(port) = arguments.next() {
        options = options.ports([port.parse().expect("a port is a number")]);
    }
    if let Some(file) = arguments.next() {
        options = options.durable(file);
    }
    let server = Simulator::start(options);
    println!("{}", server.connection_string());
    std::io::stdin().read_to_end(&mut Vec::new()).expect("the input ends");
    println!("{:?}", server.counts());
}
