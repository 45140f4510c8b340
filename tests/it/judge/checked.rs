//! `--check`: the judge beside human grades.

use serde_json::{Value, json};

use super::place::{Place, QUESTIONS, Server, answer_of, reply};
use crate::run_process::{finish, stderr, stdout};

/// Grades of the model `right`: A and D in turn, by one rater.
fn grades() -> String {
    let rows = (1..=QUESTIONS).map(|id| {
        let grade = if id % 2 == 0 { "A" } else { "D" };
        format!("right,{id},{grade},ann\n")
    });
    std::iter::once("model_id,question_id,grade,rater\n".to_owned()).chain(rows).collect()
}

fn grading_server(agrees: bool) -> Server {
    Server::start(move |prompt, _| {
        let number: usize = answer_of(prompt, 'A')
            .trim_start_matches("It is ")
            .split('.')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        let grade = if agrees && number.is_multiple_of(2) { "A" } else { "D" };
        reply(&format!("Grade: [[{grade}]]"))
    })
}

#[test]
fn a_judge_that_agrees_with_people_is_licensed_and_one_that_does_not_is_not() {
    let place = Place::new();
    std::fs::write(place.path("grades.csv"), grades()).expect("written");
    for (agrees, licence, words) in [(true, "licensed", ", licensed"), (false, "not_licensed", ", not licensed")] {
        let server = grading_server(agrees);
        let out = format!("checked-{agrees}");
        let arguments = ["right.jsonl", "--judge", "grade", "--no-probes", "--check", "grades.csv"];
        let output = finish(place.ask_into(&server, &arguments, &out).spawn().expect("it starts"));
        let told = stdout(&output);
        assert!(told.lines().next().is_some_and(|line| line.ends_with(words)), "{told}");
        assert!(told.contains("Beside human grades of 9 answers by 1 rater"), "{told}");
        let summary: Value = serde_json::from_slice(&place.bytes(&out)["summary.json"]).expect("JSON");
        assert_eq!(summary["licence"], licence);
        let all = &summary["check"]["parts"][0];
        assert_eq!((&all["subset"], &all["n"]), (&json!("all"), &json!(9)));
        let expected = if agrees { json!([4, 0, 0, 0]) } else { json!([0, 0, 0, 4]) };
        assert_eq!(all["confusion"][0], expected);
        let kappa = &all["kappa_quadratic"];
        assert_eq!(kappa["value"], if agrees { json!(1.0) } else { json!(0.0) }, "{kappa}");
        let powered = &summary["check"]["powered"][0];
        assert_eq!(
            (&powered["model_id"], &powered["human"], &powered["judged"]),
            (&json!("right"), &json!(9), &json!(0))
        );
        assert_eq!(powered["rate_a"]["value"].as_f64().map(|rate| (rate * 9.0).round()), Some(4.0));
    }
}

#[test]
fn grades_of_another_text_are_left_out_and_grades_of_nothing_are_an_error_after_the_summary() {
    let place = Place::new();
    let other =
        format!("model_id,question_id,grade,answer_sha256\nright,1,A,{}\nelse,2,B,\nright,3,,\n", "0".repeat(64));
    std::fs::write(place.path("grades.csv"), other).expect("written");
    let server = grading_server(true);
    let arguments = ["right.jsonl", "--judge", "grade", "--no-probes", "--check", "grades.csv"];
    let output = finish(place.ask(&server, &arguments).spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(told.contains("no answer was both graded by people and judged"), "{told}");
    assert!(told.contains("1 graded answers are of others, 1 of another text"), "{told}");
    assert_eq!(place.rows("j").len(), 9, "what was judged stays judged");
    let summary: Value = serde_json::from_slice(&place.bytes("j")["summary.json"]).expect("JSON");
    assert_eq!(summary["licence"], "unchecked");
}
