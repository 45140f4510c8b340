//! Reports of run folders and of bare files of answers.

use std::path::{Path, PathBuf};

use super::super::*;
use super::Place;

/// An evalset of four questions about two pictures, of which the last has no reference, and a run that answers three.
pub(in crate::report) struct Asked {
    pub place: Place,
}

/// Of the evalset `set` of [`Asked::new`].
fn row(id: u64, reference: &str) -> String {
    let picture = id.div_ceil(2);
    let reference = if reference.is_empty() { String::new() } else { format!(", \"reference\": \"{reference}\"") };
    format!(
        "{{\"image\": \"{picture}.png\", \"question_id\": {id}, \"question\": \"Number {id}?\", \"ability\": \"a\", \"category\": [\"single_turn\"], \
         \"group\": \"g{picture}\"{reference}}}\n"
    )
}

impl Asked {
    pub fn new() -> Self {
        let place = Place::new(&[]);
        let set = place.path().join("set");
        std::fs::create_dir_all(set.join("cases")).unwrap();
        let questions: String =
            [(1, "one"), (2, "two"), (3, "three"), (4, "")].map(|(id, text)| row(id, text)).concat();
        std::fs::write(set.join("questions.jsonl"), questions).unwrap();
        for (name, shade) in [("1.png", 40), ("2.png", 200)] {
            image::RgbImage::from_pixel(8, 6, image::Rgb([shade; 3])).save(set.join("cases").join(name)).unwrap();
        }
        let asked = Self { place };
        asked.run("runs/owl", "owl", &["1", "It is two.", "three"]);
        asked
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// The folder of a run whose answers are these, to questions 1, 2, …; question 4 failed.
    pub fn run(&self, folder: &str, model: &str, answers: &[&str]) {
        let folder = self.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let digest = EvalSet::open(self.path().join("set")).unwrap().sha256;
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let decoding = "{\"max_new_tokens\": 64, \"temperature\": 0.0, \"top_k\": null, \"top_p\": null, \
                        \"repetition_penalty\": 1.0, \"no_repeat_ngram_size\": 0, \"stop\": [], \"seed\": 0}";
        let manifest = format!(
            "{{\"schema\": \"owleval-run/1\", \"id\": \"{name}\",
            \"model\": {{\"id\": \"{model}\", \"kind\": \"owl\", \"sha256\": \"{}\", \"config\": {{}}, \"adapter\": null}},
            \"evalset\": {{\"name\": \"set\", \"sha256\": \"{digest}\"}}, \"template\": {{\"name\": \"owl\", \"sha256\": \"0\"}},
            \"decoding\": {decoding}, \"history\": \"own\",
            \"selection\": {{\"subset\": null, \"abilities\": [], \"limit\": null, \"shard\": null}},
            \"device\": \"cpu\", \"dtype\": \"f32\", \"software\": {{\"version\": \"0\", \"commit\": null}},
            \"started_at\": \"2026-01-01T00:00:00Z\", \"finished_at\": \"2026-01-01T00:00:01Z\",
            \"counts\": {{\"questions\": 4, \"answered\": {}, \"failed\": 1, \"blocked\": 0}}}}",
            "ab".repeat(32),
            answers.len()
        );
        std::fs::write(folder.join("run.json"), manifest).unwrap();
        let rows = (1..).zip(answers).map(|(id, answer)| {
            format!(
                "{{\"image\": \"\", \"question_id\": {id}, \"question\": \"Number {id}?\", \"answer\": {}, \
                 \"model_id\": \"{model}\", \"turn\": 0, \"item\": \"g\", \"finish_reason\": \"{}\", \"prompt_tokens\": 10, \
                 \"completion_tokens\": {id}, \"elapsed_ms\": {}, \"request_sha256\": \"\"}}\n",
                serde_json::json!(answer),
                if id == 2 { "length" } else { "stop" },
                id * 100
            )
        });
        std::fs::write(folder.join("answers.jsonl"), rows.collect::<String>()).unwrap();
        let failure = "{\"question_id\": 4, \"kind\": \"transient\", \"message\": \"it fell\", \"attempts\": 3, \
                       \"at\": \"2026-01-01T00:00:00Z\"}\n";
        std::fs::write(folder.join("failures.jsonl"), failure).unwrap();
    }

    /// Of these runs and bare files.
    pub fn request(&self, runs: &[&str], answers: &[&str]) -> Request {
        let paths = |names: &[&str]| names.iter().map(|name| self.path().join(name)).collect::<Vec<PathBuf>>();
        let evalset = Some(self.path().join("set"));
        Request { runs: paths(runs), answers: paths(answers), evalset, ..self.place.request(&[]) }
    }
}

#[test]
fn a_run_is_scored_and_told_of() {
    let asked = Asked::new();
    let report = build(&asked.request(&["runs/owl"], &[])).unwrap();
    let scores = report.scores.unwrap();
    let rate = &scores.rates[0];
    // "1" is "one"; "It is two." is not "two"; the question without a reference counts nowhere.
    assert_eq!((rate.subset.as_str(), rate.n, rate.right), ("all", 3, 2));
    let run = &report.runs[0];
    assert_eq!((run.answered, run.failed, run.blocked), (3, 1, 0));
    assert_eq!((run.prompt_tokens, run.completion_tokens), (Some(30), Some(6)));
    // Six tokens in 0.1 + 0.2 + 0.3 seconds.
    assert_eq!((run.tokens_per_second, run.seconds_median), (Some(10.0), Some(0.2)));
    assert!((run.seconds_p90.unwrap() - 0.28).abs() < 1e-12);
    assert_eq!((run.finish_reasons["stop"], run.finish_reasons["length"]), (2, 1));
    let missing: Vec<(u64, &str)> = report.missing.iter().map(|row| (row.question_id, row.why.as_str())).collect();
    assert_eq!(missing, [(4, "no answer: it fell")]);
    let inputs: Vec<(InputKind, &str)> = report.inputs.iter().map(|input| (input.kind, input.path.as_str())).collect();
    assert_eq!(
        inputs,
        [
            (InputKind::Run, "../runs/owl"),
            (InputKind::RunAnswers, "../runs/owl/answers.jsonl"),
            (InputKind::RunFailures, "../runs/owl/failures.jsonl"),
            (InputKind::Evalset, "../set"),
        ]
    );
}

#[test]
fn a_report_of_runs_and_files_is_verified_by_making_it_again() {
    let asked = Asked::new();
    std::fs::copy(asked.path().join("runs/owl/answers.jsonl"), asked.path().join("cat.jsonl")).unwrap();
    let text = std::fs::read_to_string(asked.path().join("cat.jsonl")).unwrap();
    std::fs::write(asked.path().join("cat.jsonl"), text.replace("\"owl\"", "\"cat\"")).unwrap();
    let request = asked.request(&["runs/owl"], &["cat.jsonl"]);
    let report = write(&request).unwrap();
    assert_eq!(report.models, ["owl", "cat"]);
    assert_eq!(report.runs.len(), 1);
    let bad = || -> Vec<String> {
        let findings = verify(&request.out).unwrap();
        findings.into_iter().filter(|finding| !finding.is_good).map(|finding| finding.what).collect()
    };
    assert_eq!(bad(), Vec::<String>::new());
    let answers = asked.path().join("runs/owl/answers.jsonl");
    let text = std::fs::read_to_string(&answers).unwrap();
    std::fs::write(&answers, text.replace("It is two.", "two")).unwrap();
    let found = bad();
    for expected in ["../runs/owl/answers.jsonl", "report.json", "tables/scores.csv", "index.html"] {
        assert!(found.iter().any(|what| what == expected), "{expected}: {found:?}");
    }
}

#[test]
fn two_runs_of_one_model_bear_their_folders_names() {
    let asked = Asked::new();
    asked.run("runs/warm", "owl", &["1", "2", "3"]);
    let report = build(&asked.request(&["runs/owl", "runs/warm"], &[])).unwrap();
    assert_eq!(report.models, ["owl (owl)", "owl (warm)"]);
    let compared = &report.scores.unwrap().comparisons[0];
    assert_eq!((compared.n, compared.difference), (3, Some(-1.0 / 3.0)));
}

#[test]
fn a_run_of_another_evalset_is_refused_with_a_remedy() {
    let asked = Asked::new();
    let questions = asked.path().join("set/questions.jsonl");
    let text = std::fs::read_to_string(&questions).unwrap();
    std::fs::write(&questions, text.replace("Number 1?", "Another?")).unwrap();
    let error = build(&asked.request(&["runs/owl"], &[])).unwrap_err();
    assert!(error.to_string().contains("of another digest than that of set"), "{error}");
    let nowhere = Request { evalset: None, ..asked.request(&["runs/owl"], &[]) };
    let error = build(&nowhere).unwrap_err();
    assert!(error.to_string().contains("the run answered the evalset set, which is not at hand"), "{error}");
    assert!(error.remedy_text().is_some_and(|remedy| remedy.contains("--evalset")));
}
