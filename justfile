# What CI runs.
check:
    bash .ci/run

# Tests, all or by name: `just test parity`.
test name="":
    cargo test --release {{name}}

# Speed beside the machine's own ceilings.
bench *arguments:
    cargo run --release -- bench {{arguments}}
