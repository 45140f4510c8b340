//! `owleval judge` as a process of its own, offline and against servers on loopback.

mod checked;
mod place;
mod trouble;

use serde_json::{Value, json};

use super::run_process::{finish, stderr, stdout, wait_for};
use place::{Place, QUESTIONS, Server, answer_of, reply};

/// Prefers the right answers, wherever they stand.
fn honest(prompt: &str) -> wiremock::ResponseTemplate {
    let score = |name| {
        let text = answer_of(prompt, name);
        let number = text.trim().strip_prefix("It is ").map(|rest| rest.split('.').next().unwrap_or_default());
        let asked = prompt.rsplit("What is number ").next().and_then(|rest| rest.split('?').next());
        if number.is_some() && number == asked { 9 } else { 3 }
    };
    match prompt.contains("BEGIN ANSWER B") {
        true => reply(&format!("A is what it is.\n\nScores: [[{}, {}]]", score('A'), score('B'))),
        false => reply(&format!("So be it.\n\nScore: [[{}]]", score('A'))),
    }
}

#[test]
fn without_a_model_answers_are_compared_with_the_references() {
    let place = Place::new();
    let output = finish(place.judge(&["right.jsonl", "--evalset", "set", "--out", "j"]).spawn().expect("it starts"));
    // Question 8 has no answer.
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stdout(&output);
    for expected in ["judge reference", "normalised", "1 missing:", "8: there is no answer", "judgements: j"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let rows = place.rows("j");
    assert_eq!(rows.len(), QUESTIONS - 2, "one has no answer, one no reference");
    let first = &rows[0];
    assert_eq!(first["model_id"], "right");
    assert_eq!(
        (&first["judge"], &first["judge_model"], &first["against"]),
        (&json!("reference"), &Value::Null, &Value::Null)
    );
    assert_eq!((&first["verdict"], &first["score"]), (&json!("scored"), &json!(0.0)));
    assert_eq!(first["measures"]["number"], 1.0);
    assert_eq!(first["measures"]["contains"], 1.0);
    for column in ["judge_sha256", "question_id", "order", "repeat", "reply", "request_sha256", "usage", "at"] {
        assert!(first.get(column).is_some(), "{column}");
    }

    let before = place.bytes("j");
    let output =
        finish(place.judge(&["right.jsonl", "--evalset", "set", "--out", "j", "--json"]).spawn().expect("it starts"));
    assert_eq!(place.bytes("j"), before, "nothing is judged twice, and the summary says the same");
    let printed: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((&printed["asked_now"], &printed["judge"]["name"]), (&json!(0), &json!("reference")));
    assert_eq!(printed["groups"][0]["measures"]["number"], 1.0);
}

#[test]
fn two_models_are_compared_in_both_orders_and_an_honest_judge_passes_its_probes() {
    let place = Place::new();
    let server = Server::start(|prompt, _| honest(prompt));
    let output =
        finish(place.ask(&server, &["right.jsonl", "--against", "wrong.jsonl", "--json"]).spawn().expect("it starts"));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let all = &printed["groups"][0]["pairs"];
    assert_eq!(
        (&all["wins"], &all["ties"], &all["losses"], &all["flips"]),
        (&json!(9), &json!(0), &json!(0), &json!(0))
    );
    assert_eq!((&all["total"], &all["total_against"], &all["ratio"]), (&json!(81.0), &json!(27.0), &json!(3.0)));
    assert_eq!(printed["licence"], "unchecked");
    let probes = printed["probes"].as_array().expect("a list");
    let names: Vec<&Value> = probes.iter().map(|probe| &probe["probe"]).collect();
    assert_eq!(names, ["order", "same", "longer", "injected", "swapped"]);
    assert!(probes.iter().all(|probe| probe["passed"] == true), "{probes:#?}");
    // Nine questions in two orders, and six each of four probes.
    assert_eq!(server.requests(), 9 * 2 + 6 * 4);
    let rows = place.rows("j");
    let order = |order: u8| rows.iter().find(|row| row["order"] == order && row["probe"].is_null()).expect("a row");
    // Scores belong to the models, whichever stood first.
    assert_eq!(order(0)["scores"], json!([9.0, 3.0]));
    assert_eq!(order(1)["scores"], json!([9.0, 3.0]));
    assert!(order(1)["reply"].as_str().expect("a reply").contains("[[3, 9]]"));
    assert_eq!(
        (&order(0)["model_id"], &order(0)["against"], &order(0)["verdict"]),
        (&json!("right"), &json!("wrong"), &json!("win"))
    );
}

#[test]
fn a_judge_that_prefers_a_place_makes_ties_and_is_found_out() {
    let place = Place::new();
    let server = Server::start(|_, _| reply("Scores: [[8, 6]]"));
    let output = finish(place.ask(&server, &["right.jsonl", "--against", "wrong.jsonl"]).spawn().expect("it starts"));
    let told = stdout(&output);
    assert!(told.contains("asked of test-judge, unchecked"), "{told}");
    let order = told.lines().find(|line| line.trim_start().starts_with("order")).expect("a line");
    assert!(order.contains("9/9") && order.contains("100.0 %") && order.contains("FAILED"), "{order}");
    let all = told.lines().find(|line| line.trim_start().starts_with("all")).expect("a line");
    assert_eq!(
        all.split_whitespace().collect::<Vec<_>>(),
        ["all", "10", "9", "63.0", "63.0", "1.00", "0", "9", "0", "9/9"]
    );
}

#[test]
fn a_judge_that_says_the_same_of_everything_is_found_out() {
    let place = Place::new();
    let server = Server::start(|_, _| reply("D"));
    let arguments = ["right.jsonl", "--judge", "short", "--json"];
    let output = finish(place.ask(&server, &arguments).spawn().expect("it starts"));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let outcome = |name: &str| {
        let probes = printed["probes"].as_array().expect("a list");
        let probe = probes.iter().find(|probe| probe["probe"] == name).expect("a probe");
        (probe["fooled"].clone(), probe["passed"].clone())
    };
    // Nothing raises it, and what is lowest already cannot be lowered.
    assert_eq!(outcome("injected"), (json!(0), json!(true)));
    assert_eq!(outcome("swapped"), (json!(0), Value::Null));
    assert_eq!(outcome("constant"), (json!(9 + 6 * 4), json!(false)));
}

#[test]
fn a_reply_that_cannot_be_read_is_asked_for_once_more_and_is_then_missing() {
    let place = Place::new();
    // Question 2 is never judged readably, question 3 at the second attempt.
    let server = Server::start(|prompt, _| match (prompt.contains("number 2?"), prompt.contains("number 3?")) {
        (true, _) => reply("It is hard to say."),
        (_, true) if !prompt.contains("An earlier reply") => reply("Eight or so."),
        _ => reply("Score: [[8]]"),
    });
    let arguments = ["right.jsonl", "--no-probes", "--json"];
    let output = finish(place.ask(&server, &arguments).spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let asks = json!({"planned": 9, "read": 8, "unparsed": 1, "failed": 0, "read_again": 1});
    assert_eq!(printed["asks"], asks);
    assert_eq!(
        printed["missing"][1],
        json!({"model_id": "right", "question_id": 2, "why": "the judge's reply could not be read"})
    );
    // 8 of 9 are fewer than the declared nine in ten.
    assert_eq!((&printed["coverage"]["is_enough"], &printed["groups"]), (&json!(false), &json!([])));
    assert_eq!(server.requests(), 9 + 2);
    let rows = place.rows("j");
    let of_two: Vec<&Value> = rows.iter().filter(|row| row["question_id"] == 2).collect();
    assert_eq!(of_two.len(), 2);
    assert!(of_two.iter().all(|row| row["verdict"] == "unparsed" && row.get("score").is_none()));
    assert_eq!((&of_two[0]["attempt"], &of_two[1]["attempt"]), (&json!(0), &json!(1)));

    let output = finish(place.ask(&server, &arguments[..2]).spawn().expect("it starts"));
    assert_eq!(server.requests(), 9 + 2, "what could not be read was answered all the same");
    let told = stdout(&output);
    assert!(
        told.contains("no table: 8 of 9 answers were judged (88.9 %), and this judge declares at least 90.0 %"),
        "{told}"
    );
    assert!(told.contains("2: the judge's reply could not be read"), "{told}");
}

#[test]
fn of_a_run_over_a_part_of_an_evalset_the_rest_is_not_missing() {
    let place = Place::new();
    let run = ["run", "--evalset", "set", "--answers", "right.jsonl", "--limit", "3", "--out", "part"];
    let output = finish(place.owleval(&run).spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let output = finish(place.judge(&["part", "--evalset", "set", "--out", "j"]).spawn().expect("it starts"));
    let told = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{told}{}", stderr(&output));
    // Nine of the ten questions have a reference.
    assert!(told.contains("left out: 6 questions outside the selection") && !told.contains("missing"), "{told}");
    let summary: Value = serde_json::from_slice(&place.bytes("j")["summary.json"]).expect("JSON");
    assert_eq!((&summary["groups"][0]["questions"], &summary["unselected"]), (&json!(3), &json!(6)));

    let server = Server::start(|prompt, _| honest(prompt));
    let pair = ["right.jsonl", "--against", "part-of-wrong", "--no-probes", "--judge", "pair"];
    let run = ["run", "--evalset", "set", "--answers", "wrong.jsonl", "--subset", "single_turn", "--limit", "4"];
    finish(place.owleval(&[&run[..], &["--out", "part-of-wrong"]].concat()).spawn().expect("it starts"));
    let output = finish(place.ask_into(&server, &pair, "pairs").spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.requests(), 4 * 2, "compared where both were asked");
}

#[test]
fn repeats_are_asked_each_and_their_spread_is_told() {
    let place = Place::new();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |_, _| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        reply(if number.is_multiple_of(2) { "Score: 4" } else { "Score: 8" })
    });
    let arguments = ["right.jsonl", "--no-probes", "--repeat", "2", "--concurrency", "1"];
    let output = finish(place.ask(&server, &arguments).spawn().expect("it starts"));
    let told = stdout(&output);
    let all = told.lines().find(|line| line.trim_start().starts_with("all")).expect("a line");
    assert_eq!(all.split_whitespace().collect::<Vec<_>>(), ["all", "10", "9", "6.00", "54.0", "2.83"]);
    assert_eq!(server.requests(), 18);
}

#[test]
fn killed_at_many_points_judging_ends_with_the_judgements_of_an_uninterrupted_one() {
    let place = Place::new();
    let server = Server::start(|prompt, _| honest(prompt).set_delay(std::time::Duration::from_millis(15)));
    let arguments = ["right.jsonl", "--against", "wrong.jsonl", "--concurrency", "3"];
    let command = |out: &str| place.ask_into(&server, &arguments, out);
    finish(command("whole").spawn().expect("it starts"));
    let expected = place.by_request("whole");
    let asks = 9 * 2 + 6 * 4;
    assert_eq!((expected.len(), server.requests()), (asks, asks));

    let file = place.path("killed/judgements.jsonl");
    let size = || std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
    let mut kills = 0;
    loop {
        let before = size();
        let mut child = command("killed").spawn().expect("it starts");
        wait_for("a judgement", || size() > before || child.try_wait().expect("a child").is_some());
        std::thread::sleep(std::time::Duration::from_millis(kills as u64 * 5 % 23));
        child.kill().expect("SIGKILL");
        let output = finish(child);
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
        if output.status.code().is_some() {
            break;
        }
        kills += 1;
        assert!(kills < 100, "no progress");
    }
    assert!(kills >= 4, "only {kills} kills hit: the test proves too little");
    assert_eq!(place.by_request("killed"), expected);
    // What was in flight at a kill may be asked again, and nothing else.
    assert!(server.requests() <= 2 * asks + kills * 3, "{} requests, {kills} kills", server.requests());
    let before = server.requests();
    finish(command("killed").spawn().expect("it starts"));
    assert_eq!(server.requests(), before);
}
