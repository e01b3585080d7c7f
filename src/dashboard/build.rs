//! The assets are embedded by a macro, and a macro cannot tell cargo about files that come and go. Only release
//! builds embed them: debug builds read them from disk, so there a change compiles nothing.

fn main() {
    println!("cargo:rerun-if-changed=src/dashboard/build.rs");
    println!("cargo:rerun-if-env-changed=PROFILE");
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        println!("cargo:rerun-if-changed=src/dashboard/assets");
    }
}
