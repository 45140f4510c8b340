//! How a run ends before its time, and how the next call carries on.

use super::*;

#[test]
fn a_fatal_failure_ends_the_asking() {
    let folder = quick_folder();
    let fake = Fake::new(1);
    fake.fails.lock().unwrap().insert(2, FailureKind::Fatal);
    let set = evalset(&[1; 5]);
    let (outcome, events) = call(folder.path(), &set, &Past::Own, &fake, stop_button().1);
    assert_eq!(outcome.ended, Ended::GivenUp { message: "it failed".to_owned() });
    assert!(events.contains(&"given up: it failed".to_owned()), "{events:?}");
    assert_eq!(fake.asked(), [1, 2]);
    assert_eq!(counts(folder.path()), Counts { questions: 5, answered: 1, failed: 1, blocked: 0 });
    let manifest = crate::store::run_folder::read_manifest(folder.path()).unwrap();
    assert_eq!(manifest.finished_at, None);
}

#[test]
fn the_first_wish_to_stop_finishes_what_is_in_flight_and_the_next_call_carries_on() {
    let folder = quick_folder();
    let set = evalset(&[2; 4]);
    let (button, stop) = stop_button();
    let fake = Fake { stop: Some((2, button)), is_slow: true, ..Fake::new(2) };
    let (outcome, events) = call(folder.path(), &set, &Past::Own, &fake, stop);
    assert_eq!(outcome.ended, Ended::Interrupted { dropped: Vec::new() });
    assert!(events.contains(&"finishing 2".to_owned()), "{events:?}");
    assert_eq!(on_disk(folder.path()).len(), 2);
    assert_eq!(counts(folder.path()).answered, 2);

    let rest = Fake::new(2);
    assert_eq!(run_through(folder.path(), &set, &Past::Own, &rest).ended, Ended::Complete);
    assert_eq!(rest.asked().len(), 6, "what was answered is not asked again");
    let unhurt = quick_folder();
    run_through(unhurt.path(), &set, &Past::Own, &Fake::new(1));
    assert_eq!(on_disk(folder.path()), on_disk(unhurt.path()));
}

#[test]
fn the_second_wish_to_stop_drops_what_is_in_flight_and_names_it() {
    let folder = quick_folder();
    let (button, stop) = stop_button();
    // Pressed at the first and at the second question.
    let fake = Fake { stop: Some((1, button)), hangs: true, ..Fake::new(2) };
    let (outcome, events) = call(folder.path(), &evalset(&[1; 4]), &Past::Own, &fake, stop);
    assert_eq!(outcome.ended, Ended::Interrupted { dropped: vec![1, 2] });
    assert_eq!(events.last().unwrap(), "dropped [1, 2]");
    assert_eq!(on_disk(folder.path()).len(), 0);
    assert_eq!(failures(folder.path()).len(), 0);
}

#[test]
fn a_finished_run_asks_nothing_and_its_files_stay_as_they_are() {
    let folder = quick_folder();
    let set = evalset(&[2, 1]);
    run_through(folder.path(), &set, &Past::Own, &Fake::new(2));
    let files = ["run.json", "answers.jsonl", "failures.jsonl"].map(|name| folder.path().join(name));
    let before = files.each_ref().map(|path| std::fs::read(path).unwrap());
    let again = Fake::new(2);
    let outcome = run_through(folder.path(), &set, &Past::Own, &again);
    assert_eq!((outcome.ended, outcome.answered), (Ended::Complete, 0));
    assert_eq!(again.asked(), [] as [u64; 0]);
    assert_eq!(files.map(|path| std::fs::read(path).unwrap()), before);
}

#[test]
fn an_answers_file_cut_at_any_byte_is_completed_to_the_same_answers() {
    let set = evalset(&[3, 1, 2]);
    let whole = quick_folder();
    run_through(whole.path(), &set, &Past::Own, &Fake::new(2));
    let expected = on_disk(whole.path());
    let bytes = std::fs::read(whole.path().join("answers.jsonl")).unwrap();
    for cut in (0..=bytes.len()).step_by(23) {
        let folder = quick_folder();
        drop(open(folder.path(), &Past::Own));
        std::fs::write(folder.path().join("answers.jsonl"), &bytes[..cut]).unwrap();
        run_through(folder.path(), &set, &Past::Own, &Fake::new(2));
        assert_eq!(on_disk(folder.path()), expected, "cut at {cut}");
    }
}
