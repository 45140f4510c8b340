//! Judgements among the inputs.

use serde_json::{Value, json};

use super::super::*;
use super::{Place, two_raters};

/// A folder of judgements with this summary.
fn judged(place: &Place, change: impl FnOnce(&mut Value)) {
    let group = |model: &str, subset: &str| {
        json!({"model_id": model, "subset": subset, "name": null, "questions": 4, "answers": 4, "judged": 4,
            "grades": {"A": 3, "B": 0, "C": 1, "D": 0, "rate_a": 0.75, "rate_ab": 0.75, "divided": 0},
            "pairs": {"total": 30.0, "total_against": 20.0, "ratio": 1.5, "wins": 2, "ties": 1, "losses": 1, "flips": 0,
                "compared": 4, "spread": null}})
    };
    let mut summary = json!({
        "schema": "owleval-judgements/1",
        "judge": {"name": "grade", "version": "1", "sha256": "00", "kind": "grade", "scale": [1.0, 10.0], "repeats": 1,
            "model": "<b>m</b>", "endpoint": null},
        "evalset": {"name": "e", "sha256": "0"},
        "answers": [{"model_id": "owl", "file": "owl.jsonl", "sha256": "0"}],
        "against": {"model_id": "cat", "file": "cat.jsonl", "sha256": "0"},
        "asks": {"planned": 4, "read": 4, "unparsed": 0, "failed": 0, "read_again": 0},
        "coverage": {"answers": 4, "judged": 4, "share": 1.0, "declared": 0.9, "is_enough": true},
        "licence": "not_licensed",
        "pictures": {"shown": 3, "withheld": 1, "none": 0},
        "groups": [group("owl", "all"), group("owl", "ability:a")],
        "probes": [
            {"probe": "same", "fault": "f", "asked": 2, "judged": 2, "fooled": 2, "share": 1.0, "at_most": 0.2, "passed": false,
                "mean_change": null},
            {"probe": "longer", "fault": "f", "asked": 2, "judged": 0, "fooled": 0, "share": null, "at_most": 0.2,
                "passed": null, "mean_change": null}
        ],
        "check": null, "tokens": {"prompt": 1, "completion": 1}, "cost": null, "missing": [],
        "software": {"version": "0", "commit": null}
    });
    change(&mut summary);
    let folder = place.path().join("judged");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("judgements.jsonl"), "").unwrap();
    std::fs::write(folder.join("summary.json"), summary.to_string()).unwrap();
}

fn request(place: &Place) -> Request {
    Request { judgements: vec![place.path().join("judged")], ..place.request(&["grades.csv"]) }
}

#[test]
fn a_judge_stands_beside_people_with_its_licence() {
    let place = Place::new(&[("grades.csv", &two_raters())]);
    judged(&place, |_| ());
    let report = build(&request(&place)).unwrap();
    let judge = &report.judges[0];
    assert_eq!((judge.probes_failed, judge.probes, judge.folder.as_str()), (1, 1, "../judged"));
    let people = judge.groups[0].people.unwrap();
    // By hand: owl's grades are better than cat's on every question, in the mean of the pairs of grades.
    assert_eq!((people.n, people.rate_ab, people.wins_ties_losses), (4, Some(0.75), Some([4, 0, 0])));
    let files = files(&report).unwrap();
    let csv = String::from_utf8(files["tables/judged.csv"].clone()).unwrap();
    let header = "subset,judge,model_id,answers,judged,grades,rate_ab,win_tie_loss,against,people_n,people_rate_ab,people_win_tie_loss";
    let row = "all,grade,owl,4,4,3\u{2013}0\u{2013}1\u{2013}0,75,2\u{2013}1\u{2013}1,cat,4,75,4\u{2013}0\u{2013}0";
    assert_eq!(csv.lines().take(2).collect::<Vec<_>>(), [header, row]);
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".csv")) {
        // The reader refuses a row of more or fewer cells than the header has.
        for row in csv::Reader::from_reader(bytes.as_slice()).records() {
            assert!(row.is_ok(), "{name}: {row:?}");
        }
    }
    let markdown = String::from_utf8(files["report.md"].clone()).unwrap();
    assert!(markdown.contains("| grade | &lt;b&gt;m&lt;/b&gt; | not licensed |"), "{markdown}");
    let figure = String::from_utf8(files["figures/judged.svg"].clone()).unwrap();
    assert!(figure.contains("owl: people 75.0 [") && figure.contains("grade, not licensed 75.0"), "{figure}");
}

#[test]
fn judgements_alone_are_a_report_and_are_verified() {
    let place = Place::new(&[]);
    judged(&place, |_| ());
    let request = Request { judgements: vec![place.path().join("judged")], ..place.request(&[]) };
    let report = write(&request).unwrap();
    assert_eq!((report.models, report.judges[0].groups[0].people), (vec!["owl".to_owned()], None));
    let bad = || -> Vec<String> {
        let findings = verify(&request.out).unwrap();
        findings.into_iter().filter(|finding| !finding.is_good).map(|finding| finding.what).collect()
    };
    assert_eq!(bad(), Vec::<String>::new());
    judged(&place, |summary| summary["licence"] = json!("licensed"));
    let found = bad();
    for expected in ["../judged/summary.json", "tables/judges.csv", "index.html"] {
        assert!(found.iter().any(|what| what == expected), "{expected}: {found:?}");
    }
}

#[test]
fn judgements_of_other_answers_or_of_an_unknown_schema_are_refused() {
    let asked = super::runs::Asked::new();
    judged(&asked.place, |_| ());
    let request = Request { judgements: vec![asked.path().join("judged")], ..asked.request(&["runs/owl"], &[]) };
    let error = build(&request).unwrap_err();
    assert!(error.to_string().contains("other answers of owl were judged than those given"), "{error}");
    judged(&asked.place, |summary| summary["schema"] = json!("owleval-judgements/9"));
    let error = build(&request).unwrap_err();
    assert!(error.to_string().contains("its schema is owleval-judgements/9, this program's"), "{error}");
}
