//! From tables of grades to the files of a report.

use std::path::{Path, PathBuf};

use super::table::number;
use super::*;

mod gallery;
mod judges;
mod raters;
mod runs;

/// A folder with tables of grades and the report that is made of them.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(tables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in tables {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn request(&self, names: &[&str]) -> Request {
        Request {
            grades: names.iter().map(|name| self.path().join(name)).collect(),
            sheets: Vec::new(),
            runs: Vec::new(),
            answers: Vec::new(),
            judgements: Vec::new(),
            evalset: None,
            out: self.path().join("report"),
            options: Options {
                title: "Grades".to_owned(),
                notes: Vec::new(),
                counts_only: false,
                resamples: 200,
                no_pictures: false,
                plan: false,
            },
            seed: 7,
        }
    }

    fn report(&self) -> Report {
        build(&self.request(&["grades.csv"])).unwrap()
    }
}

const HEADER: &str = "sheet,rater,model_id,question_id,image,subsets,abilities,grade,note,answer_sha256\n";

/// Two raters, two models, four questions about three pictures.
fn two_raters() -> String {
    let mut text = HEADER.to_owned();
    for (rater, model, grades) in
        [("anna", "owl", "AABD"), ("ben", "owl", "ABBC"), ("anna", "cat", "CDDD"), ("ben", "cat", "BDCD")]
    {
        for (id, grade) in (1..).zip(grades.chars()) {
            let picture = [1, 2, 2, 3][id - 1];
            let subsets = ["single_turn", "single_turn;multi_turn", "multi_turn", "multi_turn"][id - 1];
            text.push_str(&format!("s,{rater},{model},{id},{picture}.jpg,{subsets},a;b,{grade},,\n"));
        }
    }
    text
}

#[test]
fn distributions_count_grades_and_questions_of_every_subset() {
    let report = Place::new(&[("grades.csv", &two_raters())]).report();
    assert_eq!(
        (report.models.clone(), report.raters.clone()),
        (vec!["owl".into(), "cat".into()], vec!["anna".into(), "ben".into()])
    );
    let subsets: Vec<(&str, usize)> = report.subsets.iter().map(|row| (row.subset.as_str(), row.questions)).collect();
    assert_eq!(subsets, [("all", 4), ("single_turn", 2), ("multi_turn", 3), ("ability:a", 4), ("ability:b", 4)]);
    let of = |model: &str, subset: &str| {
        let row = report.distributions.iter().find(|row| row.model_id == model && row.subset == subset).unwrap();
        (row.n, row.counts.list(), row.rate_a.point.unwrap(), row.rate_ab.point.unwrap())
    };
    assert_eq!(of("owl", "all"), (4, [3, 3, 1, 1], 0.375, 0.75));
    assert_eq!(of("owl", "single_turn"), (2, [3, 1, 0, 0], 0.75, 1.0));
    assert_eq!(of("cat", "multi_turn"), (3, [0, 0, 1, 5], 0.0, 0.0));
}

#[test]
fn comparisons_are_paired_adjusted_and_rank_the_models() {
    let report = Place::new(&[("grades.csv", &two_raters())]).report();
    let primary = report.comparisons.iter().find(|row| row.subset == "all" && row.statistic == "rate_ab").unwrap();
    // By hand: of the questions owl's shares of A and B are 1, 1, 1, 0, cat's 1/2, 0, 0, 0.
    assert_eq!((primary.n, primary.difference), (4, Some(0.625)));
    // Two pictures differ, by 1/2 and 2: of the four flips two are as far from 0.
    assert_eq!((primary.p_value, primary.p_adjusted), (Some(0.5), Some(0.5)));
    assert_eq!(primary.p_mcnemar, None);
    let ranking = report.ranking.unwrap();
    let order: Vec<&str> = ranking.order.iter().map(|ranked| ranked.model_id.as_str()).collect();
    assert_eq!(order, ["owl", "cat"]);
    assert_eq!(ranking.indistinct, [["owl", "cat"]]);
}

#[test]
fn agreement_is_reported_for_all_raters_and_for_each_two() {
    let report = Place::new(&[("grades.csv", &two_raters())]).report();
    let of = |statistic: &str| report.agreement.iter().find(|row| row.statistic == statistic).unwrap();
    assert_eq!((of("percent").value, of("percent").units), (Some(0.5), 8));
    assert_eq!(of("cohen_kappa_quadratic").raters, ["anna", "ben"]);
    assert!(of("krippendorff_alpha_ordinal").value.unwrap() > 0.5);
}

#[test]
fn constant_grades_make_alpha_undefined_and_not_a_number() {
    let text = "rater,model_id,question_id,grade\na,m,1,A\nb,m,1,A\na,m,2,A\nb,m,2,A\n";
    let report = Place::new(&[("grades.csv", text)]).report();
    let alpha = &report.agreement[0];
    assert_eq!((alpha.value, alpha.low), (None, None));
    assert_eq!(alpha.undefined.as_deref(), Some("all ratings are the same"));
    let files = files(&report).unwrap();
    let markdown = String::from_utf8(files["report.md"].clone()).unwrap();
    assert!(markdown.contains("| undefined | all ratings are the same |"), "{markdown}");
}

#[test]
fn a_verdict_takes_the_place_of_grades_and_repeats_are_no_second_grade() {
    let mut text = two_raters();
    text.push_str("s,adjudicated,owl,4,3.jpg,multi_turn,a;b,A,,\n");
    text.push_str(
        "s#repeats,anna,owl,1,1.jpg,single_turn,a;b,A,,\ns#repeats,anna,owl,2,2.jpg,single_turn;multi_turn,a;b,B,,\n",
    );
    let report = Place::new(&[("grades.csv", &text)]).report();
    assert_eq!(report.raters, ["anna", "ben"]);
    assert_eq!(report.distributions[0].counts.list(), [4, 3, 0, 0]);
    let repeats = report.agreement.iter().find(|row| row.statistic == "repeat_percent").unwrap();
    assert_eq!((repeats.raters.len(), repeats.units, repeats.value), (1, 2, Some(0.5)));
}

#[test]
fn what_is_missing_is_named_with_the_reason() {
    let text = "rater,model_id,question_id,grade,note\na,m,1,A,\na,m,2,,\na,n,1,B,\na,n,3,D,missing: it failed\n";
    let report = Place::new(&[("grades.csv", text)]).report();
    let said: Vec<(&str, u64, &str)> =
        report.missing.iter().map(|row| (row.model_id.as_str(), row.question_id, row.why.as_str())).collect();
    assert_eq!(
        said,
        [
            ("m", 2, "skipped by a"),
            ("m", 3, "no grade"),
            ("n", 2, "no grade"),
            ("n", 3, "no answer (it failed); it counts as D"),
        ]
    );
}

#[test]
fn contradictions_between_rows_are_refused_with_file_and_line() {
    for (row, says) in [
        ("s,anna,owl,1,1.jpg,single_turn,a;b,B,,\n", "a second grade by anna for the answer of owl to question 1"),
        ("s,zoe,owl,1,2.jpg,single_turn,a;b,B,,\n", "another picture of question 1"),
        ("s,zoe,owl,1,1.jpg,multi_turn,a;b,B,,\n", "another subsets of question 1"),
        ("s,,owl,1,1.jpg,single_turn,a;b,B,,\n", "the column rater is empty"),
        ("s,zoe,owl,1,1.jpg,single_turn,a;b,E,,\n", "is no grade"),
    ] {
        let place = Place::new(&[("grades.csv", &(two_raters() + row))]);
        let error = build(&place.request(&["grades.csv"])).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().contains("grades.csv:18: "), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
    let other =
        format!("{HEADER}s,zoe,owl,1,1.jpg,single_turn,a;b,B,,ffff\ns,yan,owl,1,1.jpg,single_turn,a;b,B,,eeee\n");
    let place = Place::new(&[("grades.csv", &other)]);
    let error = build(&place.request(&["grades.csv"])).unwrap_err();
    assert!(error.to_string().contains("another text of owl"), "{error}");
}

#[test]
fn a_report_made_twice_and_elsewhere_is_byte_identical() {
    let bytes = || {
        let place = Place::new(&[("grades.csv", &two_raters())]);
        files(&place.report()).unwrap()
    };
    let (first, second) = (bytes(), bytes());
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (name, bytes) in &first {
        assert_eq!(String::from_utf8_lossy(bytes), String::from_utf8_lossy(&second[name]), "{name}");
    }
    assert!(String::from_utf8_lossy(&first["report.json"]).contains("\"path\": \"../grades.csv\""));
}

#[test]
fn verify_finds_a_changed_file_a_changed_input_and_a_file_too_many() {
    let place = Place::new(&[("grades.csv", &two_raters())]);
    let request = place.request(&["grades.csv"]);
    write(&request).unwrap();
    let bad = || -> Vec<String> {
        let findings = verify(&request.out).unwrap();
        findings.into_iter().filter(|finding| !finding.is_good).map(|finding| finding.what).collect()
    };
    assert_eq!(bad(), Vec::<String>::new());
    std::fs::write(request.out.join("report.md"), "# Grades\n\nbetter\n").unwrap();
    std::fs::write(request.out.join("figures/mine.svg"), "<svg/>").unwrap();
    assert_eq!(bad(), ["report.md", "figures/mine.svg"]);
    write(&request).unwrap();
    assert_eq!(bad(), Vec::<String>::new());
    let changed = two_raters().replace("cat,4,3.jpg,multi_turn,a;b,D", "cat,4,3.jpg,multi_turn,a;b,A");
    std::fs::write(place.path().join("grades.csv"), changed).unwrap();
    let found = bad();
    assert!(found.contains(&"../grades.csv".to_owned()) && found.contains(&"report.json".to_owned()), "{found:?}");
}

#[test]
fn text_of_models_and_raters_is_nothing_but_text_in_every_format() {
    let hostile = "<script>alert(1)</script>|&\\input{x}_$%\u{202e}[a](http://b)";
    let text = format!(
        "rater,model_id,question_id,grade\n\"=1+1\",\"{hostile}\",1,A\n\"=1+1\",\"=cmd\",1,B\n\"=1+1\",\"=cmd\",2,A\nb,\"=cmd\",1,B\n"
    );
    let report = Place::new(&[("grades.csv", &text)]).report();
    let files = files(&report).unwrap();
    for (name, bytes) in &files {
        let text = String::from_utf8(bytes.clone()).unwrap();
        if name.ends_with(".html") || name.ends_with(".svg") || name.ends_with(".md") {
            assert!(!text.contains("<script") && !text.contains('\u{202e}'), "{name}");
        }
        if name.ends_with(".tex") {
            assert!(!text.contains("\\input{x}") && !text.contains("_$"), "{name}: {text}");
        }
        if name.ends_with(".md") {
            assert!(!text.contains("http:") && !text.contains("[a]"), "{name}: {text}");
        }
        if name.ends_with(".csv") {
            assert!(!text.lines().any(|line| line.starts_with('=') || line.contains(",=")), "{name}: {text}");
        }
    }
}

#[test]
fn the_page_forbids_everything_but_its_own_style() {
    let report = Place::new(&[("grades.csv", &two_raters())]).report();
    let files = files(&report).unwrap();
    let page = String::from_utf8(files["index.html"].clone()).unwrap();
    assert!(page.contains("content=\"default-src 'none'; style-src 'sha256-"), "{page}");
    for forbidden in ["<script", "style=\"", " src=", "<link", "javascript:", "@import", "url("] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // The digest is that of the style which stands in the page.
    let style = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
    let digest = {
        use base64::Engine as _;
        use sha2::Digest as _;
        base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style.as_bytes()))
    };
    assert!(page.contains(&format!("'sha256-{digest}'")), "{digest}");
    // Every figure has a text alternative, every link a target.
    assert_eq!(page.matches("role=\"img\"").count(), page.matches("<desc ").count());
    for link in page.split("href=\"#").skip(1) {
        let target = link.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
    }
}

#[test]
fn counts_only_says_nothing_that_depends_on_the_questions() {
    let place = Place::new(&[("grades.csv", &two_raters())]);
    let mut request = place.request(&["grades.csv"]);
    request.options.counts_only = true;
    let report = build(&request).unwrap();
    assert!(report.comparisons.is_empty() && report.ranking.is_none());
    assert!(report.distributions.iter().all(|row| row.rate_ab_by_picture.is_none()));
}

#[test]
fn an_evalset_says_what_is_missing_and_refuses_questions_that_it_does_not_have() {
    let place = Place::new(&[("grades.csv", "rater,model_id,question_id,grade\na,m,1,A\n")]);
    let set = place.path().join("set");
    std::fs::create_dir_all(set.join("cases")).unwrap();
    let row = |id: u64| {
        format!(
            "{{\"question_id\": {id}, \"question\": \"Why?\", \"ability\": \"a\", \"category\": [\"single_turn\"]}}\n"
        )
    };
    std::fs::write(set.join("questions.jsonl"), row(1) + &row(2)).unwrap();
    let mut request = place.request(&["grades.csv"]);
    request.evalset = Some(set.clone());
    let report = build(&request).unwrap();
    assert_eq!(report.missing.len(), 1);
    assert_eq!(report.inputs[1].path, "../set");
    std::fs::write(set.join("questions.jsonl"), row(2)).unwrap();
    let error = build(&request).unwrap_err();
    assert!(error.to_string().contains("question 1 is none of the evalset's"), "{error}");
}

#[test]
fn numbers_are_rounded_for_people_and_whole_for_programs() {
    assert_eq!(number(2.0 / 3.0, Kind::Share), "66.7");
    assert_eq!(number(-0.0001, Kind::Difference), "0.0");
    assert_eq!(number(-0.125, Kind::Difference), "\u{2212}12.5");
    assert_eq!(number(0.0004, Kind::PValue), "< 0.001");
    let table = Table {
        name: "t".to_owned(),
        title: String::new(),
        caption: String::new(),
        columns: vec![column("model_id", "Model", Kind::Text), column("rate", "Rate, %", Kind::Share)],
        rows: vec![
            vec![Cell::text("a,\"b\""), Cell::Interval([Some(0.25), Some(0.125), Some(2.5e-7)])],
            vec![Cell::text("=1"), Cell::Interval([None; 3])],
        ],
        is_long: false,
    };
    assert_eq!(table.csv(), "model_id,rate,rate_low,rate_high\n\"a,\"\"b\"\"\",0.25,0.125,2.5e-7\n'=1,,,\n");
}

fn example() -> Request {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("reports/owleval-paper");
    let note = "The counts are those of figure 3 of arXiv 2304.14178, graded by the paper's own raters. Which question got \
                which grade was not published: the questions here are one assignment that gives the single-turn and the \
                multi-turn counts at once. Nothing is reported that depends on it, but for the rows of all questions, of which \
                the paper gives the sum of A and B of mPLUG-Owl (66) and MiniGPT-4 (54) alone.";
    Request {
        grades: vec![folder.join("grades.csv")],
        sheets: Vec::new(),
        runs: Vec::new(),
        answers: Vec::new(),
        judgements: Vec::new(),
        evalset: None,
        out: folder,
        options: Options {
            title: "OwlEval, as graded in the paper of mPLUG-Owl".to_owned(),
            notes: vec![note.to_owned()],
            counts_only: true,
            resamples: 10_000,
            no_pictures: false,
            plan: false,
        },
        seed: 0,
    }
}

/// `cargo test --release make_the_committed_example -- --ignored`, after a change of what reports look like.
#[test]
#[ignore = "writes reports/owleval-paper"]
fn make_the_committed_example() {
    write(&example()).unwrap();
}

#[test]
fn the_committed_example_is_what_the_program_makes_now() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("reports/owleval-paper");
    let findings = verify(&folder).unwrap();
    assert!(findings.len() > 8, "{findings:?}");
    for finding in findings {
        assert!(finding.is_good, "{}: {}", finding.what, finding.says);
    }
}

#[test]
fn the_example_has_the_counts_of_the_paper_in_its_order() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("reports/owleval-paper/report.json");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    // Figure 3 of arXiv 2304.14178, transcribed from the image.
    let paper = [
        ("single_turn", "OpenFlamingo", [5, 5, 15, 25]),
        ("single_turn", "BLIP-2", [13, 13, 9, 15]),
        ("single_turn", "LLaVA", [23, 12, 13, 2]),
        ("single_turn", "MiniGPT-4", [35, 3, 10, 2]),
        ("single_turn", "mPLUG-Owl", [32, 10, 8, 0]),
        ("multi_turn", "OpenFlamingo", [4, 4, 16, 28]),
        ("multi_turn", "BLIP-2", [13, 10, 17, 12]),
        ("multi_turn", "LLaVA", [16, 17, 19, 0]),
        ("multi_turn", "MiniGPT-4", [25, 6, 21, 0]),
        ("multi_turn", "mPLUG-Owl", [31, 8, 13, 0]),
    ];
    let rows = report["distributions"].as_array().unwrap();
    let found: Vec<(&str, &str, [u64; 4])> = rows
        .iter()
        .filter(|row| row["subset"] != "all")
        .map(|row| {
            let counts = ["A", "B", "C", "D"].map(|grade| row["counts"][grade].as_u64().unwrap());
            (row["subset"].as_str().unwrap(), row["model_id"].as_str().unwrap(), counts)
        })
        .collect();
    assert_eq!(found, paper);
    // And of the text: A or B of all 82 questions.
    let of = |model: &str| {
        let row = rows.iter().find(|row| row["subset"] == "all" && row["model_id"] == model).unwrap();
        row["counts"]["A"].as_u64().unwrap() + row["counts"]["B"].as_u64().unwrap()
    };
    assert_eq!((of("mPLUG-Owl"), of("MiniGPT-4")), (66, 54));
}
