use std::collections::HashSet;

use super::*;
use crate::evalset::fixture;

/// Answers to the questions of the made-up evalset, all but the 4th.
fn answers(folder: &std::path::Path, evalset: &EvalSet, model: &str) -> Answers {
    let rows = [1, 2, 3, 5, 6, 7].map(|id| {
        serde_json::json!({"question_id": id, "answer": format!("{model} says {id}"), "model_id": model}).to_string()
    });
    let path = folder.join(format!("{model}.jsonl"));
    std::fs::write(&path, rows.join("\n")).unwrap();
    Answers::open(&path, evalset).unwrap()
}

struct Scene {
    evalset: EvalSet,
    owl: Answers,
    cat: Answers,
    _folder: tempfile::TempDir,
}

fn scene() -> Scene {
    let folder = fixture::made_up();
    let evalset = EvalSet::open(folder.path()).unwrap();
    let (owl, cat) = (answers(folder.path(), &evalset, "owl"), answers(folder.path(), &evalset, "cat"));
    Scene { evalset, owl, cat, _folder: folder }
}

fn text(prepared: &Prepared) -> &str {
    match prepared.chat.messages.last().unwrap().parts.last().unwrap() {
        Part::Text(text) => text,
        Part::Image(_) => panic!("the text comes last"),
    }
}

#[test]
fn every_answer_is_asked_about_in_both_orders_as_often_as_is_wanted() {
    let Scene { evalset, owl, cat, .. } = &scene();
    let judge = Definition::open("pair").unwrap();
    let plan = Plan::new(&judge, evalset, std::slice::from_ref(owl), Some(cat), 3, false).unwrap();
    assert_eq!((plan.targets.len(), plan.asks.len()), (6, 6 * 2 * 3));
    assert_eq!(plan.missing.len(), 1);
    assert_eq!((plan.missing[0].question_id, plan.missing[0].why.as_str()), (4, "there is no answer"));
    let prompts: HashSet<String> =
        plan.asks.iter().map(|ask| text(&plan.prepare(ask, &[]).unwrap()).to_owned()).collect();
    assert_eq!(prompts.len(), plan.asks.len(), "each ask has a nonce of its own");
    for ask in &plan.asks {
        let again = plan.prepare(ask, &[]).unwrap();
        assert!(prompts.contains(text(&again)), "and the same one every time");
        let (first, second) = if ask.order == 0 { ("owl", "cat") } else { ("cat", "owl") };
        let places = [first, second].map(|model| text(&again).rfind(&format!("{model} says")).unwrap());
        assert!(places[0] < places[1]);
    }
}

#[test]
fn what_was_said_before_is_shown_of_each_model_and_fenced_too() {
    let Scene { evalset, owl, cat, .. } = &scene();
    let judge = Definition::open("pair").unwrap();
    let plan = Plan::new(&judge, evalset, std::slice::from_ref(owl), Some(cat), 1, false).unwrap();
    let target = plan.targets.iter().position(|target| target.asked().question_id == 2).unwrap();
    let prepared = plan.prepare(&Ask { target, order: 0, repeat: 0, probe: None }, &[]).unwrap();
    let text = text(&prepared);
    for expected in
        ["What is this?", "owl says 1", "cat says 1", "And its colour?", "owl says 2", "cat says 2", "red / dark red"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(text.matches("[BEGIN ANSWER A ").count(), 2);
    assert_eq!(text.matches("[END ANSWER B ").count(), 2);
}

#[test]
fn pictures_stand_before_the_text_and_the_row_says_whether_they_were_shown() {
    let Scene { evalset, owl, .. } = &scene();
    let judge = Definition::open("grade").unwrap();
    let plan = Plan::new(&judge, evalset, std::slice::from_ref(owl), None, 1, false).unwrap();
    let ask = plan.asks[0];
    let item = plan.targets[ask.target].item;
    let pictures = evalset.pictures(item).unwrap();
    let shown = plan.prepare(&ask, &pictures).unwrap();
    assert_eq!(shown.pictures, PicturesShown::Shown);
    assert!(matches!(shown.chat.messages.last().unwrap().parts[0], Part::Image(_)));
    assert!(text(&shown).contains("the picture above"));
    let withheld = plan.prepare(&ask, &[]).unwrap();
    assert_eq!(withheld.pictures, PicturesShown::Withheld);
    assert!(!text(&withheld).contains("picture"));
    let without = plan.targets.iter().position(|target| target.item.images.is_empty()).unwrap();
    let none = plan.prepare(&Ask { target: without, ..ask }, &[]).unwrap();
    assert_eq!(none.pictures, PicturesShown::None);
}

#[test]
fn asking_again_adds_the_format_and_changes_nothing_else() {
    let Scene { evalset, owl, .. } = &scene();
    let judge = Definition::open("single").unwrap();
    let plan = Plan::new(&judge, evalset, std::slice::from_ref(owl), None, 1, false).unwrap();
    let first = plan.prepare(&plan.asks[0], &[]).unwrap();
    let before = text(&first).to_owned();
    let again = plan.again(first);
    assert_eq!(again.chat.messages.len(), 2);
    let added = text(&again).strip_prefix(&before).unwrap();
    assert!(added.starts_with("\n\nAn earlier reply") && added.ends_with("Score: [[N]]"), "{added}");
}

#[test]
fn probes_are_few_spread_and_set_the_altered_answer_beside_the_true_one() {
    let Scene { evalset, owl, cat, .. } = &scene();
    let mut judge = Definition::open("pair").unwrap();
    judge.probes.each = 2;
    let plan = Plan::new(&judge, evalset, std::slice::from_ref(owl), Some(cat), 1, true).unwrap();
    let probes: Vec<&Ask> = plan.asks.iter().filter(|ask| ask.probe.is_some()).collect();
    assert_eq!(probes.len(), 4 * 2);
    assert_eq!(probes.iter().filter(|ask| ask.order == 1).count(), 4, "both places are tried");
    for ask in probes {
        let row = plan.row(ask, Some("judge"), String::new(), String::new());
        assert_eq!((row.model_id.as_str(), row.against.as_deref()), ("owl", Some("owl")));
        let equal = row.against_sha256.as_deref() == Some(row.answer_sha256.as_str());
        assert_eq!(equal, ask.probe == Some(ProbeKind::Same));
        assert!(!text(&plan.prepare(ask, &[]).unwrap()).contains("cat says"));
    }
}

#[test]
fn a_reference_judge_takes_the_questions_with_references_and_no_probes() {
    let Scene { evalset, owl, cat, .. } = &scene();
    let judge = Definition::open("reference").unwrap();
    let both = [owl, cat].map(|answers| answers.model_id.clone());
    assert_eq!(both, ["owl", "cat"]);
    let plan = Plan::new(&judge, evalset, std::slice::from_ref(owl), None, 1, true).unwrap();
    let ids: Vec<u64> = plan.targets.iter().map(|target| target.asked().question_id).collect();
    assert_eq!(ids, [1, 2, 6]);
    assert!(plan.asks.iter().all(|ask| ask.probe.is_none()));
    let error = Plan::new(&judge, evalset, std::slice::from_ref(owl), Some(cat), 1, true).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}
