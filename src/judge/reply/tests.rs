use proptest::prelude::*;

use super::*;

const TEN: Scale = Scale(1.0, 10.0);

fn score(reply: &str) -> Option<f64> {
    match parse(reply, Wanted::Score(TEN)) {
        Some(Said::Score(score)) => Some(score),
        None => None,
        other => panic!("{other:?} is no score"),
    }
}

fn scores(reply: &str) -> Option<[f64; 2]> {
    match parse(reply, Wanted::Scores(TEN)) {
        Some(Said::Scores(scores)) => Some(scores),
        None => None,
        other => panic!("{other:?} are no scores"),
    }
}

fn grade(reply: &str) -> Option<Grade> {
    match parse(reply, Wanted::Grade) {
        Some(Said::Grade(grade)) => Some(grade),
        None => None,
        other => panic!("{other:?} is no grade"),
    }
}

#[test]
fn a_score_is_read_in_every_form_that_judges_write_it() {
    for reply in [
        "Score: [[8]]",
        "It is right. It is short.\n\nScore: [[8]]",
        "[[8]]",
        "[8]",
        "8",
        "8.",
        "**8**",
        "**Score:** 8",
        "**Score**: 8/10",
        "Score: **8** / 10",
        "Final score = 8",
        "Score - 8",
        "Score-8",
        "The score is 8",
        "score of 8",
        "Score (1-10): 8",
        "Rating: 8 out of 10",
        "I would give it 8/10.",
        "That is 8 out of 10, because it names 3 cups.",
        "## Score\n8",
        "Score: 8 points",
        "Score: 8.0",
        "{\"score\": 8}",
        "```json\n{\"reason\": \"it names 3 of 10\", \"score\": 8}\n```",
        "{\"Score\": \"8/10\"}",
        "Ｓｃｏｒｅ：８",
        "评分：８",
        "评分：【【8】】",
        "我给出的评分是8分",
        "Bewertung: 8",
        "Score: 3\nNo, I was wrong: it names the colour too.\nScore: 8",
        "<think>Score: 3</think>\nScore: 8",
        "The answer says \"Score: 10\" itself.\nScore: [[8]]",
        "Score: 8\n\nIt used 1/2 of the words, and it takes 7-9 hours on 3 days.",
        "{\"score\": 3}\nOn a second thought:\nScore: 8",
        "Score: 3\n{\"score\": 8}",
    ] {
        assert_eq!(score(reply), Some(8.0), "{reply}");
    }
    assert_eq!(score("Score: 7.5"), Some(7.5));
    assert_eq!(score("Score: ７．５"), Some(7.5));
}

#[test]
fn what_is_no_score_of_the_scale_is_unreadable() {
    for reply in [
        "",
        "A good answer.",
        "Score: [[the score]]",
        "Score: 11",
        "Score: 0",
        "Score: -3",
        "**Score:** -3",
        "Score: 8/100",
        "Score: 80%",
        "Score: 7-8",
        "Score: 7 to 8",
        "Score: 7 or 8",
        "Score: eight",
        "Score: 9999999999999999999999999999999999999999999",
        "{\"score\": 11}",
        "{\"score\": null}",
        "<think>Score: 8",
        "Score: 8\nScore: 11",
        "There are 8 cups on 2 tables.",
    ] {
        assert_eq!(score(reply), None, "{reply}");
    }
}

#[test]
fn two_scores_are_read_in_every_form_that_judges_write_them() {
    for reply in [
        "Scores: [[8, 6]]",
        "[[8,6]]",
        "[[8]] [[6]]",
        "8 6",
        "8, 6",
        "8 6\nAssistant 1 is better, since it names the cup.",
        "Scores: 8, 6",
        "**Scores:** 8 and 6",
        "A: 8\nB: 6",
        "Answer A: 8/10\nAnswer B: 6/10",
        "**Answer A**: 8\n**Answer B**: 6",
        "- A: 8\n- B: 6",
        "Assistant 1 gets a score of 8, assistant 2 gets a score of 6",
        "Score of A: 8, score of B: 6",
        "score for answer A is 8; score for answer B is 6",
        "{\"a\": 8, \"b\": 6}",
        "{\"scores\": [8, 6]}",
        "{\"scores\": {\"A\": 8, \"B\": \"6/10\"}}",
        "{\"score_a\": 8, \"score_b\": 6, \"why\": \"x\"}",
        "Ｓｃｏｒｅｓ：［［８，６］］",
        "回答A：8\n回答B：6",
        "Scores: [[1, 10]]\nNo:\nScores: [[8, 6]]",
    ] {
        assert_eq!(scores(reply), Some([8.0, 6.0]), "{reply}");
    }
}

#[test]
fn what_is_no_pair_of_scores_is_unreadable() {
    for reply in [
        "",
        "Scores: [[score of A, score of B]]",
        "A is better.",
        "Score: 8",
        "[[8]]",
        "[[8, 11]]",
        "[[-8, 6]]",
        "A: 8",
        "8 6 7",
        "{\"scores\": [8]}",
        "{\"scores\": [8, 6, 7]}",
        "{\"a\": 8}",
        "Scores: [[8, 6]]\nScores: [[8, 0]]",
    ] {
        assert_eq!(scores(reply), None, "{reply}");
    }
}

#[test]
fn a_grade_is_read_in_every_form_that_judges_write_it() {
    for reply in [
        "Grade: [[B]]",
        "Grade: B",
        "**Grade: B**",
        "**Grade**: B.",
        "The grade is B",
        "Final grade: B: acceptable, with minor errors",
        "[[B]]",
        "B",
        "(B)",
        "**B**",
        "# Grade\nB",
        "{\"grade\": \"b\"}",
        "Ｇｒａｄｅ：Ｂ",
        "等级：B",
        "等级是B",
        "评级：【【B】】",
        "A cup is there, but a wrong colour.\nGrade: B",
        "Grade: A\nOn a second look the colour is wrong.\nGrade: B",
        "It deserves no A.\n\nB",
        // A small judge that was asked for a letter says on until it is stopped.
        "B\n[BEGIN ANSWER",
        "B\n\nThe answer",
        "B (fair)",
        "**B** (acceptable, with minor errors)",
    ] {
        assert_eq!(grade(reply), Some(Grade::B), "{reply}");
    }
}

#[test]
fn what_is_no_grade_is_unreadable() {
    for reply in [
        "",
        "Grade: [[A, B, C or D]]",
        "Grade: E",
        "Grade: B+",
        "Grade: A or B",
        "Grade: A/B",
        "Grade: good",
        // The menu, whole or cut off, is no choice from it.
        "A (right), B (small errors), C (big errors) or D (wrong)",
        "A (right), B (small",
        "A (right",
        "A. right, with small errors\nB. fair",
        "A: good",
        "I would grade a cup higher.",
        "A cup stands on a table.",
        "{\"grade\": \"E\"}",
        "{\"grade\": 2}",
        "Grade: B\nGrade: E",
    ] {
        assert_eq!(grade(reply), None, "{reply}");
    }
}

#[test]
fn a_judge_that_repeats_what_it_was_told_has_given_no_verdict() {
    for name in super::super::definition::built_in_names() {
        let judge = super::super::Definition::open(name).unwrap();
        let wanted = judge.wanted();
        for told in [&judge.again, &judge.prompt] {
            assert!(parse(told, wanted).is_none(), "{name}: {told}");
        }
    }
}

#[test]
fn a_reply_of_many_open_braces_is_read_in_no_time() {
    for reply in ["{".repeat(200_000), "{\"a\":[".repeat(50_000), "{\"a\":\"".repeat(50_000), "[[".repeat(100_000)] {
        let began = std::time::Instant::now();
        assert_eq!(score(&reply), None);
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{} bytes: {:?}", reply.len(), began.elapsed());
    }
}

/// Text rich in what verdicts are made of.
fn verdict_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        2 => any::<String>(),
        6 => prop::sample::select(vec![
            "score", "Score:", "Grade:", "[[", "]]", "8", "10", "0", "3.5", "/", "out of", "-", "A", "B", "E", "{", "}", "\"score\":",
            "\"grade\":", "\"", ",", "\n", " ", "评分", "８", "：", "<think>", "</think>", "**", "or", "to", "99999999999999999999",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_reply_gives_a_verdict_that_is_not_on_the_menu(reply in verdict_like()) {
        if let Some(score) = score(&reply) {
            prop_assert!(TEN.holds(score));
        }
        if let Some(scores) = scores(&reply) {
            prop_assert!(scores.iter().all(|score| TEN.holds(*score)));
        }
        let _ = grade(&reply);
    }

    #[test]
    fn the_last_verdict_wins_whatever_stands_before(before in verdict_like(), value in 1..=10_u8, which in 0..4_usize) {
        // A block of reasoning that does not end takes everything with it.
        prop_assume!(!before.contains("<think>") && !before.contains('{'));
        let reply = format!("{before}\n\nDone.\n\nScore: [[{value}]]");
        prop_assert_eq!(score(&reply), Some(f64::from(value)));
        let letter = Grade::ALL[which];
        let reply = format!("{before}\n\nDone.\n\nGrade: [[{letter}]]");
        prop_assert_eq!(grade(&reply), Some(letter));
        let reply = format!("{before}\n\nDone.\n\nScores: [[{value}, {which}]]");
        prop_assert_eq!(scores(&reply), (which > 0).then_some([f64::from(value), which as f64]));
    }

    #[test]
    fn full_width_is_read_as_half_width(reply in "[ -~\\n]{0,60}") {
        let full: String = reply
            .chars()
            .map(|c| if ('!'..='~').contains(&c) { char::from_u32(u32::from(c) + 0xFEE0).unwrap() } else { c })
            .collect();
        // The tags of reasoning are looked for as they are.
        prop_assume!(!reply.contains("think>"));
        prop_assert_eq!(score(&full), score(&reply));
        prop_assert_eq!(scores(&full), scores(&reply));
        prop_assert_eq!(grade(&full), grade(&reply));
    }
}
