//! A whole pass through the real OwlEval by script, timed: what a key press costs, in time, memory and disk.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::pseudo_terminal::{Answers, Terminal};

/// Where the official data may be.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("OWLEVAL_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/owleval"), PathBuf::from);
    let is_there = folder.join("questions.jsonl").is_file() && folder.join("answer").is_dir();
    if !is_there {
        eprintln!("not run: the official data are not in {} (OWLEVAL_DATA names them)", folder.display());
    }
    is_there.then_some(folder)
}

/// No key may take longer than this, also on a machine that does other things; the figures are printed.
const LONGEST: Duration = Duration::from_secs(2);

#[test]
fn the_82_questions_of_one_model_are_graded_by_script() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let answers = data.join("answer/mPLUG_Owl_7b_answer.jsonl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_owleval"));
    command.current_dir(folder.path()).arg("grade").arg(&answers).arg("--evalset").arg(&data);
    command.args(["--sheet", "sheet", "--rater", "script"]);
    let began = Instant::now();
    let mut terminal = Terminal::start(command, (100, 30), Answers::Plain);
    let first = terminal.wait_for_text("1 of ");
    let start = began.elapsed();
    let total: usize = first
        .split("1 of ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .expect("the number of cards");
    assert!((80..=82).contains(&total), "{total} cards");
    let (mut times, mut pictures) = (Vec::new(), 0);
    for card in 1..=total {
        let key = ["a", "b", "c", "d"][card % 4];
        let sent = Instant::now();
        terminal.send(key);
        let done = format!("{} for {card};", key.to_uppercase());
        let text = terminal.wait_for("the next card", |text| {
            if card < total { text.contains(&done) } else { text.contains("Every answer is graded.") }
        });
        times.push(sent.elapsed());
        pictures += usize::from(text.contains('▀') || text.contains('▄'));
    }
    let memory = terminal.peak_memory().unwrap_or(0);
    let (drawings, bytes) = terminal.sent();
    terminal.send("q");
    assert_eq!(terminal.wait().code(), Some(0));
    let journal = std::fs::metadata(folder.path().join("sheet/script.jsonl")).expect("a journal").len();
    times.sort();
    eprintln!(
        "{total} cards: start {start:.0?}; a key press {:.1?} (median), {:.1?} (worst); {pictures} pictures there at \
         once; {} kB a drawing in {drawings}; {} MB of memory; journal {journal} bytes",
        times[times.len() / 2],
        times[times.len() - 1],
        bytes / drawings.max(1) / 1000,
        memory / 1_000_000,
    );
    assert!(times.iter().all(|time| *time < LONGEST), "{times:?}");
}
