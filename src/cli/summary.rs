//! What a run amounts to, by subset and ability: as a table and as JSON.

use std::collections::{BTreeMap, HashMap};

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

use super::progress::figure;
use crate::evalset::{Subset, Turn};
use crate::record::{AnswerRow, FailureRow, FailureRowKind};
use crate::sanitize;
use crate::score;

/// The questions of one subset or ability. Those of one ability and another overlap.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Group {
    /// `all`, `single_turn`, `multi_turn`, `ability:a`.
    pub subset: String,
    /// The ability's name, where the evalset gives one.
    pub name: Option<String>,
    pub questions: usize,
    pub answered: usize,
    pub failed: usize,
    pub blocked: usize,
    /// Answers to questions that have a reference.
    pub scored: usize,
    /// Those of them that match it exactly.
    pub exact: usize,
    /// `exact / scored`; null where nothing was scored.
    pub exact_match: Option<f64>,
    /// Tokens of the answers by the seconds that each took: how fast one answer comes, however many are made at once.
    pub tokens_per_second: Option<f64>,
}

/// Groups the questions that were asked: all, each subset, each ability that occurs (`abilities`: letter -> name).
pub fn summarise(
    abilities: &BTreeMap<String, String>,
    turns: &[&Turn],
    answers: &[AnswerRow],
    failures: &[&FailureRow],
) -> Vec<Group> {
    let answers: HashMap<u64, &AnswerRow> = answers.iter().map(|row| (row.question_id, row)).collect();
    let failures: HashMap<u64, FailureRowKind> = failures.iter().map(|row| (row.question_id, row.kind)).collect();
    let mut letters: Vec<&String> = turns.iter().flat_map(|turn| &turn.abilities).collect();
    letters.sort();
    letters.dedup();

    let group = |subset: &str, name: Option<&String>, holds: &dyn Fn(&Turn) -> bool| {
        let chosen: Vec<&Turn> = turns.iter().copied().filter(|turn| holds(turn)).collect();
        let group = Group { subset: subset.to_owned(), name: name.cloned(), ..Group::default() };
        count(group, &chosen, &answers, &failures)
    };
    let mut groups = vec![group("all", None, &|_| true)];
    for subset in Subset::ALL {
        groups.push(group(subset.name(), None, &|turn| turn.subsets.contains(&subset)));
    }
    for letter in letters {
        let name = abilities.get(letter);
        groups.push(group(&format!("ability:{letter}"), name, &|turn| turn.abilities.contains(letter)));
    }
    groups.retain(|group| group.questions > 0 || group.subset == "all");
    groups
}

fn count(
    mut group: Group,
    turns: &[&Turn],
    answers: &HashMap<u64, &AnswerRow>,
    failures: &HashMap<u64, FailureRowKind>,
) -> Group {
    group.questions = turns.len();
    let (mut tokens, mut milliseconds) = (0, 0);
    for turn in turns {
        if let Some(row) = answers.get(&turn.question_id) {
            group.answered += 1;
            if let Some(completion_tokens) = row.completion_tokens {
                tokens += completion_tokens;
                milliseconds += row.elapsed_ms;
            }
            if let Some(matches) = score::exact_match(&row.answer, &turn.reference) {
                group.scored += 1;
                group.exact += usize::from(matches);
            }
        } else {
            match failures.get(&turn.question_id) {
                Some(FailureRowKind::Blocked) => group.blocked += 1,
                Some(_) => group.failed += 1,
                None => {}
            }
        }
    }
    group.exact_match = (group.scored > 0).then(|| group.exact as f64 / group.scored as f64);
    group.tokens_per_second = (tokens > 0 && milliseconds > 0).then(|| tokens as f64 * 1000.0 / milliseconds as f64);
    group
}

/// The groups as a table for people. Columns that would say nothing are left out.
pub fn table(groups: &[Group]) -> String {
    let has_blocked = groups.iter().any(|group| group.blocked > 0);
    let has_scores = groups.iter().any(|group| group.scored > 0);
    let has_speed = groups.iter().any(|group| group.tokens_per_second.is_some());
    let columns = |all: [Option<String>; 7]| all.into_iter().flatten().collect::<Vec<String>>();
    let when = |wanted: bool, text: String| wanted.then_some(text);

    let mut table = Table::new();
    // One line below the header and no other.
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns([
        Some(String::new()),
        Some("questions".to_owned()),
        Some("answered".to_owned()),
        Some("failed".to_owned()),
        when(has_blocked, "blocked".to_owned()),
        when(has_scores, "exact match".to_owned()),
        when(has_speed, "tokens/s".to_owned()),
    ]));
    for group in groups {
        let score = match group.exact_match {
            Some(share) => format!("{:.1} % ({}/{})", share * 100.0, group.exact, group.scored),
            None => "–".to_owned(),
        };
        table.add_row(columns([
            Some(label(group)),
            Some(group.questions.to_string()),
            Some(group.answered.to_string()),
            Some(group.failed.to_string()),
            when(has_blocked, group.blocked.to_string()),
            when(has_scores, score),
            when(has_speed, group.tokens_per_second.map_or_else(|| "–".to_owned(), figure)),
        ]));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn label(group: &Group) -> String {
    match (&group.name, group.subset.strip_prefix("ability:")) {
        (Some(name), Some(letter)) => sanitize::terminal(&format!("{letter}  {name}")),
        (None, Some(letter)) => sanitize::terminal(letter),
        _ => group.subset.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::FinishReason;

    fn turn(question_id: u64, abilities: &[&str], subsets: &[Subset], reference: &[&str]) -> Turn {
        Turn {
            question_id,
            question: "?".to_owned(),
            abilities: abilities.iter().map(|letter| (*letter).to_owned()).collect(),
            subsets: subsets.to_vec(),
            reference: reference.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    fn summarised(answers: &[AnswerRow], failures: &[&FailureRow]) -> Vec<Group> {
        let both = [Subset::SingleTurn, Subset::MultiTurn];
        let turns = [
            turn(1, &["b"], &both, &["three"]),
            turn(2, &["b", "e"], &[Subset::MultiTurn], &["red"]),
            turn(3, &["e"], &[Subset::MultiTurn], &[]),
            turn(4, &["e"], &[Subset::MultiTurn], &["blue"]),
        ];
        let abilities = BTreeMap::from([("b".to_owned(), "visual understanding".to_owned())]);
        summarise(&abilities, &turns.iter().collect::<Vec<_>>(), answers, failures)
    }

    fn answer(question_id: u64, text: &str, tokens: u64, elapsed_ms: u64) -> AnswerRow {
        AnswerRow {
            image: String::new(),
            question_id,
            question: "?".to_owned(),
            answer: text.to_owned(),
            model_id: "m".to_owned(),
            turn: 0,
            item: "x".to_owned(),
            finish_reason: FinishReason::Stop,
            prompt_tokens: None,
            completion_tokens: Some(tokens),
            elapsed_ms,
            request_sha256: String::new(),
        }
    }

    fn groups() -> Vec<Group> {
        let answers = [answer(1, "3.", 4, 100), answer(2, "green", 6, 400)];
        let failure = |question_id, kind| FailureRow {
            question_id,
            kind,
            message: "it failed".to_owned(),
            attempts: 1,
            at: String::new(),
        };
        let failures = [failure(3, FailureRowKind::Transient), failure(4, FailureRowKind::Blocked)];
        summarised(&answers, &failures.iter().collect::<Vec<_>>())
    }

    #[test]
    fn every_question_is_counted_in_each_group_that_it_belongs_to() {
        let groups = groups();
        let names: Vec<&str> = groups.iter().map(|group| group.subset.as_str()).collect();
        assert_eq!(names, ["all", "single_turn", "multi_turn", "ability:b", "ability:e"]);
        let all = &groups[0];
        assert_eq!((all.questions, all.answered, all.failed, all.blocked), (4, 2, 1, 1));
        assert_eq!((all.scored, all.exact, all.exact_match), (2, 1, Some(0.5)));
        assert_eq!(all.tokens_per_second, Some(20.0));
        let single = &groups[1];
        assert_eq!((single.questions, single.exact_match), (1, Some(1.0)));
        let reasoning = &groups[4];
        assert_eq!((reasoning.questions, reasoning.answered, reasoning.exact_match), (3, 1, Some(0.0)));
    }

    #[test]
    fn the_table_names_the_abilities_and_says_how_many_were_scored() {
        insta::assert_snapshot!(table(&groups()), @r#"
                                   questions   answered   failed   blocked     exact match   tokens/s
        ──────────────────────────────────────────────────────────────────────────────────────────────
         all                               4          2        1         1    50.0 % (1/2)       20.0
         single turn                       1          1        0         0   100.0 % (1/1)       40.0
         multi turn                        4          2        1         1    50.0 % (1/2)       20.0
         b  visual understanding           2          2        0         0    50.0 % (1/2)       20.0
         e                                 3          1        1         1     0.0 % (0/1)       15.0
        "#);
    }

    #[test]
    fn nothing_scored_is_not_a_score_of_nought() {
        let open = summarised(&[answer(3, "x", 1, 1)], &[]);
        assert_eq!(open[0].exact_match, None);
        assert!(!table(&open).contains("exact match"));
    }
}
