//! Makes `hex::message` from `proto/`, through protox: no `protoc` is needed on the machine.

use std::error::Error;

const FILES: [&str; 6] = [
    "proto/common.proto",
    "proto/names.proto",
    "proto/package.proto",
    "proto/policy.proto",
    "proto/signed.proto",
    "proto/versions.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");
    prost_build::Config::new().compile_fds(protox::compile(FILES, ["proto"])?)?;
    Ok(())
}
