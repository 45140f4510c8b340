//! `owleval report` as a process of its own: from a sheet and from tables to a folder, and back by `owleval verify`.

use super::grade::{Place, text};

#[test]
fn a_sheet_becomes_a_report_that_can_be_verified() {
    let place = Place::new(20);
    place.make();
    place.table(20, &["anna", "ben"]);
    place.good(&["grade", "--sheet", "study", "--import", "table.csv"]);
    // Each skipped every fifth answer, but never both the same one.
    let output = place.run(&["report", "study", "--evalset", "set", "--resamples", "200", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["models"], serde_json::json!(["alpha", "beta"]));
    assert_eq!(report["raters"], serde_json::json!(["anna", "ben"]));
    assert_eq!(report["inputs"][0]["path"], "../../study");
    let log = std::fs::read_to_string(place.path("study/unblinded.jsonl")).expect("a log");
    assert!(log.contains("\"who\":\"owleval report\""), "{log}");
    for file in ["index.html", "report.md", "report.json", "tables/distributions.tex", "figures/distributions.svg"] {
        assert!(place.path("reports/study").join(file).is_file(), "{file}");
    }
    // The texts that were graded stand on the sheet, the questions in the evalset.
    let page = std::fs::read_to_string(place.path("reports/study/index.html")).expect("a page");
    assert!(page.contains("id=\"question-7\"") && page.contains("b says 7 \u{241b}[31m"), "a gallery");
    let verified = place.good(&["verify", "reports/study"]);
    assert!(verified.contains("good  index.html"), "{verified}");
    std::fs::write(place.path("reports/study/report.md"), "better\n").expect("written");
    let output = place.run(&["verify", "reports/study"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("BAD   report.md"), "{}", text(&output.stdout));
}

#[test]
fn answers_without_a_grade_make_the_exit_code_1() {
    let place = Place::new(5);
    place.table(5, &["anna"]);
    let output = place.run(&["report", "--grades", "table.csv", "--out", "out", "--resamples", "100"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("2 answers have no grade") && said.contains("report: out/index.html"), "{said}");
}

#[test]
fn a_report_of_nothing_usable_is_refused_with_a_remedy_and_writes_nothing() {
    let place = Place::new(2);
    std::fs::write(place.path("bad.csv"), "rater,model_id,question_id,grade\na,m,1,E\n").expect("written");
    std::fs::write(place.path("empty.csv"), "rater,model_id,question_id,grade\n").expect("written");
    for (words, expected) in [
        (vec!["report"], "there is nothing to report"),
        (vec!["report", "set"], "is no sheet"),
        (vec!["report", "--grades", "bad.csv"], "bad.csv:2: \"E\" is no grade"),
        (vec!["report", "--grades", "empty.csv"], "there are no grades to report"),
        (vec!["report", "--grades", "none.csv"], "none.csv: cannot read the grades"),
    ] {
        let output = place.run(&words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output.stderr).contains(expected), "{words:?}: {}", text(&output.stderr));
    }
    assert!(!place.path("reports").exists());
}

#[test]
fn answers_without_grades_are_scored_and_shown() {
    let place = Place::new(3);
    let questions = place.path("set/questions.jsonl");
    let text = std::fs::read_to_string(&questions).expect("questions");
    std::fs::write(&questions, text.replacen("\"ability\"", "\"reference\": \"a says 1 [31m\", \"ability\"", 1))
        .expect("written");
    let words = ["report", "alpha.jsonl", "beta.jsonl", "--evalset", "set", "--out", "out", "--resamples", "100"];
    let said = place.good(&words);
    assert!(said.contains("questions") && said.contains("report: out/index.html"), "{said}");
    assert!(place.path("out/tables/scores.csv").is_file());
    place.good(&["verify", "out"]);
}
