use super::*;

fn row(order: u8, repeat: u32, scores: [f64; 2]) -> JudgementRow {
    let mut row: JudgementRow = serde_json::from_value(serde_json::json!({
        "judge": "pair", "judge_sha256": "", "judge_model": "m", "model_id": "a", "against": "b", "question_id": 1,
        "order": order, "repeat": repeat, "verdict": "unparsed", "reply": "", "finish_reason": "stop", "pictures": "none",
        "answer_sha256": "", "request_sha256": "", "usage": {"prompt_tokens": null, "completion_tokens": null, "elapsed_ms": 0},
        "at": "", "something_later": 1,
    }))
    .unwrap();
    // As the judge was shown them.
    let shown = if order == 0 { scores } else { [scores[1], scores[0]] };
    row.set(Some(super::super::reply::Said::Scores(shown)));
    row
}

fn of(rows: &[JudgementRow], orders: Orders) -> Option<PairOpinion> {
    pair(&rows.iter().collect::<Vec<_>>(), orders)
}

#[test]
fn a_verdict_of_both_orders_counts_and_one_that_flips_is_a_tie() {
    for (first, second, verdict, flips) in [
        ([8.0, 6.0], [9.0, 7.0], Verdict::Win, 0),
        ([6.0, 8.0], [7.0, 9.0], Verdict::Loss, 0),
        ([8.0, 6.0], [6.0, 8.0], Verdict::Tie, 1),
        ([6.0, 8.0], [8.0, 6.0], Verdict::Tie, 1),
        // Not sure, and no flip.
        ([8.0, 6.0], [7.0, 7.0], Verdict::Tie, 0),
        ([7.0, 7.0], [7.0, 7.0], Verdict::Tie, 0),
    ] {
        let opinion = of(&[row(0, 0, first), row(1, 0, second)], Orders::Both).unwrap();
        assert_eq!((opinion.verdict, opinion.flips, opinion.compared), (verdict, flips, 1), "{first:?} {second:?}");
        assert_eq!(opinion.own, (first[0] + second[0]) / 2.0);
        assert_eq!(opinion.other, (first[1] + second[1]) / 2.0);
    }
}

#[test]
fn one_order_of_two_is_no_opinion_and_one_of_one_is() {
    let one = [row(0, 0, [8.0, 6.0])];
    assert_eq!(of(&one, Orders::Both), None);
    assert_eq!(of(&one, Orders::First).unwrap().verdict, Verdict::Win);
    assert_eq!(of(&[], Orders::Both), None);
}

#[test]
fn repeats_vote_and_their_spread_is_that_of_the_difference() {
    let rows = [
        row(0, 0, [8.0, 6.0]),
        row(1, 0, [8.0, 6.0]),
        row(0, 1, [8.0, 6.0]),
        row(1, 1, [6.0, 8.0]),
        // One order is missing: the repeat does not count.
        row(0, 2, [1.0, 10.0]),
    ];
    let opinion = of(&rows, Orders::Both).unwrap();
    assert_eq!((opinion.verdict, opinion.compared, opinion.flips), (Verdict::Win, 2, 1));
    assert_eq!((opinion.own, opinion.other), (7.5, 6.5));
    assert!((opinion.spread.unwrap() - 2.0_f64.sqrt()).abs() < 1e-12);
}
