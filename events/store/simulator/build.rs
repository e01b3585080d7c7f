//! Compiles the protocol from the `.proto` files that the official client ships, straight from where cargo keeps
//! that package: the protocol that is simulated is the one that the client speaks, and no copy of it can go stale.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

use serde_json::Value;

/// The official client, whose package holds the protocol.
const CLIENT: &str = "kurrentdb";

/// What is simulated; what these import comes along.
const PROTOCOL: [&str; 3] = ["streams.proto", "gossip.proto", "serverfeatures.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    let protos = client_package()?.join("protos");
    println!("cargo:rerun-if-changed={}", protos.display());
    let descriptors = protox::compile(PROTOCOL, [&protos])?;
    tonic_build::configure()
        .bytes(["."])
        .extern_path(".event_store.client.Empty", "()")
        .include_file("protocol.rs")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}

/// Where cargo keeps the client's package. Asked without the network first: a build has the packages of its own
/// platform already, but not always those that only other members' tests use.
fn client_package() -> Result<PathBuf, Box<dyn Error>> {
    let metadata = match metadata(&["--offline"]) {
        Ok(metadata) => metadata,
        Err(_) => metadata(&[])?,
    };
    let manifest = metadata
        .get("packages")
        .and_then(Value::as_array)
        .and_then(|packages| {
            packages.iter().find(|package| package.get("name").is_some_and(|name| name == CLIENT))
        })
        .and_then(|package| package.get("manifest_path"))
        .and_then(Value::as_str)
        .ok_or_else(|| {
            format!("`cargo metadata` knows no package {CLIENT}; the dependency `eventstore` names it")
        })?;
    let package = PathBuf::from(manifest);
    Ok(package.parent().ok_or("a manifest lies in a directory")?.to_owned())
}

fn metadata(also: &[&str]) -> Result<Value, Box<dyn Error>> {
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform"])
        .arg(env::var("TARGET")?)
        .arg("--manifest-path")
        .arg(PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml"))
        .args(also)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Box::new(io::Error::other(format!("`cargo metadata` failed: {said}"))));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
