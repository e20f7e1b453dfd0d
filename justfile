# Recipes for daily work; `just` lists them. The steps of the gate are written only in .ci/run.

_list:
    @just --list

# Run every step of the gate
gate:
    .ci/run

# Install the tools of the gate: compiler, clients, PostgreSQL, valgrind, Hex
setup:
    .ci/run tools hex

# Format the code
format:
    cargo fmt

# Compile everything, quickly and without linking
check:
    cargo check --all-targets

# Run the static checks: format, clippy, spelling, unused and forbidden dependencies, rustdoc
lint:
    .ci/run format lints spelling unused dependencies docs

# Run all tests, including those on PostgreSQL
test:
    .ci/run tests

# Run the tests of one target with a name: `just only it mirror`, `just only clients rebar3`
only target name="":
    SSL_CERT_FILE="$PWD/tests/it/support/tls/ca.pem" cargo test --test {{ target }} -- {{ name }}

# Build the benches, and count instructions and allocations
bench:
    .ci/run benches counts

# Build the fuzz targets
fuzz:
    .ci/run fuzz

# Start a daemon with the built-in configuration
run:
    cargo run --release -- serve
