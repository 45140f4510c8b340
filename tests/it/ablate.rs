//! `owleval ablate`: a small ablation from training to report, through the program itself.

use std::path::Path;
use std::process::{Command, Output};

use owleval::ablation::plan::{Plan, Variant};

const MODEL: &str = r#"
name = "tiny"
seed = 7
[model]
num_query_tokens = 12
[model.vision_config]
hidden_size = 16
intermediate_size = 24
num_hidden_layers = 1
num_attention_heads = 2
image_size = 96
patch_size = 24
[model.visual_abstractor_config]
hidden_size = 16
encoder_hidden_size = 16
intermediate_size = 24
num_hidden_layers = 1
num_attention_heads = 2
[model.text_config]
vocab_size = 600
hidden_size = 16
intermediate_size = 24
num_hidden_layers = 1
num_attention_heads = 2
[tokenizer]
"#;

/// A stage of three updates.
fn stage(name: &str, kind: &str, trainable: &str) -> String {
    format!(
        "[[stage]]\nname = {name:?}\nkind = {kind:?}\ntrainable = {trainable}\nsteps = 3\nbatch = 2\nlr = 0.001\n\
         schedule = \"cosine\"\nlog_every = 1\n[stage.data]\n"
    )
}

const ABLATION: &str = r#"
name = "tiny"
title = "A small ablation"
base = "tiny.toml"
reference = "both"
shared = ["abstractor"]
resamples = 200
[[evalset]]
name = "scenes"
title = "fresh scenes"
draw = { scenes = "fresh", questions = 45, seed = 1 }
[[evalset]]
name = "mini-text"
title = "text only"
[[stage]]
name = "instruction-text"
like = "instruction"
data = { mix = { text_only = 1.0 } }
[[variant]]
name = "both"
title = "text and pictures"
stages = ["abstractor", "instruction"]
replicates = 2
[[variant]]
name = "text"
title = "text only"
stages = ["abstractor", "instruction-text"]
[[variant]]
name = "words"
title = "answers text alone"
stages = ["abstractor"]
evalsets = ["mini-text"]
[[claim]]
says = "Text and pictures beat text alone."
source = "this test"
better = "both"
worse = "text"
evalset = "scenes"
subset = "kind:counting"
"#;

fn owleval(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_owleval"));
    command.args(arguments).current_dir(folder).env("RAYON_NUM_THREADS", "1").output().expect("the program starts")
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn prepare() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = MODEL.to_owned()
        + &stage("abstractor", "abstractor", r#"["vision", "abstractor"]"#)
        + &stage("instruction", "instruction", r#"["lora"]"#);
    std::fs::write(folder.path().join("tiny.toml"), model).unwrap();
    std::fs::write(folder.path().join("ablation.toml"), ABLATION).unwrap();
    folder
}

#[test]
fn an_ablation_is_trained_asked_and_reported_and_what_variants_share_is_trained_once() {
    let folder = prepare();
    let at = folder.path();
    // A part of it first, as a second process or an interrupted one would.
    ok(&owleval(at, &["ablate", "ablation.toml", "--out", "out", "--only", "text"]));
    assert!(!at.join("out/report").exists(), "a part makes no report");
    let said = ok(&owleval(at, &["ablate", "ablation.toml", "--out", "out"]));
    assert!(said.contains("Text and pictures beat text alone."), "{said}");

    let stages: Vec<String> = std::fs::read_dir(at.join("out/stages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let count = |name: &str| stages.iter().filter(|stage| stage.rsplit_once('-').unwrap().0 == name).count();
    assert_eq!([count("abstractor"), count("instruction"), count("instruction-text")], [1, 2, 1], "{stages:?}");

    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(at.join("out/report/report.json")).unwrap()).unwrap();
    let rate = |variant: &str, evalset: &str| {
        let rates = report["rates"].as_array().unwrap();
        let found = rates
            .iter()
            .find(|rate| rate["variant"] == variant && rate["evalset"] == evalset && rate["subset"] == "all");
        found.map(|rate| rate["replicates"].as_array().unwrap().len())
    };
    assert_eq!(rate("both", "scenes"), Some(2), "both replicates are in the rate");
    assert_eq!(rate("words", "scenes"), None);
    assert_eq!(rate("words", "mini-text"), Some(1));
    assert_eq!(report["claims"][0]["verdict"], "open", "three updates teach nothing");

    // Nothing is trained or asked again, and the same report comes out.
    let made = || ["index.html", "report.json"].map(|name| std::fs::read(at.join("out/report").join(name)).unwrap());
    let report = made();
    std::fs::write(at.join("out/report/inputs/of-an-earlier-report.toml"), "").unwrap();
    let before = std::fs::metadata(at.join("out/runs/both-1-scenes/answers.jsonl")).unwrap().modified().unwrap();
    ok(&owleval(at, &["ablate", "ablation.toml", "--out", "out"]));
    assert_eq!(made(), report);
    let after = std::fs::metadata(at.join("out/runs/both-1-scenes/answers.jsonl")).unwrap().modified().unwrap();
    assert_eq!(before, after);

    ok(&owleval(at, &["verify", "out/report"]));
    let results = at.join("out/report/inputs/results.csv");
    let changed = std::fs::read_to_string(&results).unwrap().replacen(",0\n", ",1\n", 1);
    std::fs::write(&results, changed).unwrap();
    assert_eq!(owleval(at, &["verify", "out/report"]).status.code(), Some(1), "a changed answer is seen");
}

#[test]
fn the_committed_ablation_is_what_the_program_makes_of_its_inputs_now() {
    let report = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/ablation-mini");
    let said = ok(&owleval(&report, &["verify", "."]));
    assert!(said.contains("tables/claims.csv"), "{said}");
    // Its models were trained by the recipes that are committed.
    let digests = |plan: &Plan| {
        let of = |(variant, replicate): (&Variant, u64)| {
            let recipe = plan.recipe(variant, replicate).unwrap();
            let stages: Vec<String> = recipe.stages.iter().map(|stage| recipe.stage_sha256(stage)).collect();
            (variant.name.clone(), replicate, stages)
        };
        plan.models().map(of).collect::<Vec<_>>()
    };
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let [there, here] =
        [report.join("inputs"), recipes].map(|folder| Plan::read(&folder.join("ablation.toml")).unwrap());
    assert_eq!(digests(&there), digests(&here), "a recipe was changed since the report was made");
}

#[test]
fn every_table_of_an_ablation_has_as_many_cells_in_a_row_as_columns() {
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/ablation-mini/tables");
    let mut count = 0;
    for entry in std::fs::read_dir(tables).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "csv") {
            count += 1;
            for row in csv::Reader::from_path(&path).unwrap().records() {
                assert!(row.is_ok(), "{}: {row:?}", path.display());
            }
        }
    }
    assert!(count >= 10, "{count} tables");
}

#[test]
fn stages_that_train_trained_are_taken_over_where_the_recipe_is_the_same() {
    let folder = prepare();
    let at = folder.path();
    ok(&owleval(at, &["train", "tiny.toml", "--out", "trained"]));
    ok(&owleval(at, &["ablate", "ablation.toml", "--out", "out", "--reuse", "trained", "--only", "both"]));
    let taken = std::fs::read_dir(at.join("out/stages"))
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path().join("checkpoint.safetensors")).unwrap())
        .filter(|bytes| *bytes == std::fs::read(at.join("trained/abstractor/checkpoint.safetensors")).unwrap())
        .count();
    assert_eq!(taken, 1);
    // The model of the first replicate is what `train` makes.
    let model = |folder: &str| std::fs::read(at.join(folder).join("model.safetensors")).unwrap();
    assert_eq!(model("out/models/both-1"), model("trained/model"));
    assert_ne!(model("out/models/both-2"), model("trained/model"));
}

#[test]
fn an_ablation_that_names_what_is_not_there_is_refused_by_name() {
    let folder = prepare();
    for (was, is, expected) in [
        ("worse = \"text\"", "worse = \"txt\"", "there is no variant \"txt\""),
        ("like = \"instruction\"", "like = \"instructing\"", "\"instructing\""),
        ("evalset = \"scenes\"", "evalset = \"scene\"", "there is no evalset \"scene\""),
        ("replicates = 2", "replicas = 2", "replicas"),
        ("[\"abstractor\", \"instruction-text\"]", "[\"bridge\"]", "there is no stage \"bridge\""),
    ] {
        let path = folder.path().join("ablation.toml");
        let changed = ABLATION.replacen(was, is, 1);
        assert_ne!(changed, ABLATION, "{was}");
        std::fs::write(&path, changed).unwrap();
        let output = owleval(folder.path(), &["ablate", "ablation.toml", "--out", "out"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!folder.path().join("out").exists(), "nothing is written");
    }
}
