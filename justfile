# What CI runs.
check:
    bash .ci/run

# Tests, all or by name: `just test parity`.
test name="":
    cargo test --release {{name}}

# Coverage of the intervals in 2,000 simulated studies of each kind: half a minute.
simulate:
    cargo test --release --lib two_thousand_studies -- --ignored --nocapture

# Any text as the reply of a judge, for so many seconds.
fuzz seconds="300":
    fuzz/run {{seconds}}

# Speed beside the machine's own ceilings.
bench *arguments:
    cargo run --release -- bench {{arguments}}
