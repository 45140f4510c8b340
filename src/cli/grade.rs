//! `owleval grade`: makes a sheet, opens it for a grader, and moves grades out of it and into it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Console;
pub use super::grade_options::GradeArguments;
use super::run::{folder_name, quoted};
use crate::error::{Error, Result};
use crate::evalset::EvalSet;
use crate::grading::{
    AnswerSource, Created, Imported, MakersNotes, MissingPolicy, NewSheet, Opening, Rubric, Session, Which, export,
    import, practice, sheets_of, undecided, what_the_maker_should_know,
};
use crate::tui::{self, Options, Outcome, PictureMode};

/// The evalset of a new sheet, where none is named.
const EVALSET: &str = "mini";

/// Runs the command and gives its exit code.
pub fn run(arguments: GradeArguments, console: &Console) -> Result<u8> {
    if arguments.practice {
        let rubric = arguments.rubric.as_deref().map(Rubric::read).transpose()?.unwrap_or_default();
        return grade(practice(rubric)?, &arguments, &[], console);
    }
    if arguments.adjudicate {
        let sheet = match (&arguments.sheet, arguments.answers.as_slice()) {
            (Some(sheet), []) => sheet.clone(),
            (None, [sheet]) => PathBuf::from(sheet),
            _ => {
                return Err(
                    Error::input("--adjudicate takes one sheet").remedy("owleval grade --adjudicate --sheet DIR")
                );
            }
        };
        return adjudicate(&arguments, &sheet, console);
    }
    if arguments.answers.is_empty() {
        return existing(&arguments, console);
    }
    let rater = arguments.rater.as_deref();
    if rater.is_some() && arguments.split.is_none() {
        tui::terminal::require()?;
    }
    let created = create(&arguments)?;
    match (created.sheets.as_slice(), rater) {
        ([sheet], Some(rater)) => {
            console.note(&summary(&created));
            carry_on(opening(&arguments, sheet).session(rater)?, &arguments, console)
        }
        _ => {
            if console.is_json() {
                console.print_json(&created);
            } else {
                console.print(&format!("{}\n{}", summary(&created), next(&created, rater)));
            }
            Ok(0)
        }
    }
}

/// Lets somebody decide what raters disagree on: on a sheet, or on the first part of a split one where something is left
/// to decide.
fn adjudicate(arguments: &GradeArguments, folder: &Path, console: &Console) -> Result<u8> {
    let sheets = sheets_of(folder);
    let mut chosen = sheets.first();
    for sheet in &sheets {
        if undecided(sheet)? > 0 {
            chosen = Some(sheet);
            break;
        }
    }
    let chosen = chosen.map_or(folder, PathBuf::as_path);
    tui::terminal::require()?;
    let opened = opening(arguments, chosen).adjudication(arguments.rater.as_deref().unwrap_or("adjudicator"))?;
    let exit_code = carry_on(opened, arguments, console)?;
    if sheets.len() > 1 {
        for sheet in &sheets {
            let left = undecided(sheet)?;
            if left > 0 {
                console.note(&format!("{}: {left} to decide; the same command goes on with them", sheet.display()));
            }
        }
    }
    Ok(exit_code)
}

/// What is done with a sheet that is there.
fn existing(arguments: &GradeArguments, console: &Console) -> Result<u8> {
    let Some(sheet) = arguments.sheet.as_deref() else {
        return Err(Error::input("there is nothing to grade: neither answers nor a sheet are named").remedy(
            "owleval grade ANSWERS… --evalset E --rater NAME, owleval grade --sheet DIR --rater NAME, or owleval grade --practice",
        ));
    };
    if arguments.export {
        return export_grades(arguments, sheet, console);
    }
    if let Some(file) = &arguments.import {
        let imported = import(sheet, file, arguments.rater.as_deref(), &who())?;
        return Ok(tell_imported(&imported, file, console));
    }
    if arguments.notes {
        for sheet in sheets_of(sheet) {
            tell_notes(&what_the_maker_should_know(&sheet, &who())?, console);
        }
        return Ok(0);
    }
    let Some(rater) = arguments.rater.as_deref() else {
        return Err(Error::input("--rater is missing: whose grades are these?")
            .at(sheet)
            .remedy(format!("owleval grade --sheet {} --rater NAME", quoted(&sheet.to_string_lossy()))));
    };
    // What is wrong with the sheet is told first; without a terminal no journal is begun.
    let opening = opening(arguments, sheet);
    opening.check(rater)?;
    tui::terminal::require()?;
    carry_on(opening.session(rater)?, arguments, console)
}

fn create(arguments: &GradeArguments) -> Result<Created> {
    let evalset = arguments.evalset.as_deref().unwrap_or(EVALSET);
    let folder = match &arguments.sheet {
        Some(folder) => folder.clone(),
        None => Path::new("sheets").join(folder_name(&EvalSet::open(evalset)?.name)),
    };
    let answers: Vec<AnswerSource> = arguments.answers.iter().map(|answers| AnswerSource::of(answers)).collect();
    NewSheet {
        folder: &folder,
        answers: &answers,
        evalset: OsStr::new(evalset),
        seed: arguments.seed,
        side_by_side: arguments.side_by_side,
        repeats: arguments.repeats,
        missing_counts: arguments.missing_policy().unwrap_or_default(),
        rubric: arguments.rubric.as_deref(),
        split: arguments.split(),
    }
    .create()
}

fn opening<'a>(arguments: &'a GradeArguments, sheet: &'a Path) -> Opening<'a> {
    let evalset = arguments.evalset.as_deref().map(OsStr::new);
    Opening { sheet, evalset, with_pictures: !arguments.no_pictures }
}

fn carry_on(opened: (Session, Vec<String>), arguments: &GradeArguments, console: &Console) -> Result<u8> {
    let (session, warnings) = opened;
    for warning in &warnings {
        console.warn(warning);
    }
    grade(session, arguments, &warnings, console)
}

/// Hands the session to the screen, and says afterwards how far it is.
fn grade(mut session: Session, arguments: &GradeArguments, warnings: &[String], console: &Console) -> Result<u8> {
    let pictures = match (arguments.no_pictures, arguments.half_blocks) {
        (true, _) => PictureMode::Off,
        (false, true) => PictureMode::HalfBlocks,
        (false, false) => PictureMode::Auto,
    };
    let options = Options {
        side_by_side: arguments.side_by_side || session.is_side_by_side(),
        pictures,
        colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        practice: !session.is_recorded(),
    };
    let outcome = tui::grade(&mut session, &options, warnings)?;
    let progress = session.progress();
    let kept = if session.is_recorded() { "on disk" } else { "practice, nothing is recorded" };
    let done = format!("{} of {} graded, {} skipped ({kept})", progress.graded, progress.total, progress.skipped);
    match outcome {
        Outcome::Left => {
            console.note(&done);
            Ok(0)
        }
        Outcome::Interrupted(why) => {
            Err(Error::interrupted(format!("{why}; {done}")).remedy("call it again to carry on where it was"))
        }
    }
}

fn export_grades(arguments: &GradeArguments, sheet: &Path, console: &Console) -> Result<u8> {
    let which = if arguments.only_repeats {
        Which::Repeats
    } else if arguments.verdicts {
        Which::Verdicts
    } else {
        Which::Grades
    };
    let missing: Option<MissingPolicy> = arguments.missing_policy();
    let mut table = Vec::new();
    for sheet in sheets_of(sheet) {
        let exported = export(&sheet, which, missing, &who())?;
        for note in &exported.notes {
            console.note(note);
        }
        // The parts of a split sheet make one table: the names of the columns stand in it once.
        let rows = match table.is_empty() {
            true => exported.csv.as_slice(),
            false => exported.csv.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default(),
        };
        table.extend_from_slice(rows);
    }
    console.print_data(&table)?;
    Ok(0)
}

/// Who unseals a sheet, as the log calls them: the name under which they are logged in.
fn who() -> String {
    let name = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|variable| std::env::var(variable).ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// What was made, without a word that could tell a grader whose answer is whose.
fn summary(created: &Created) -> String {
    let Created { sheets, is_carried_on, cards, questions, repairs, leaks, missing } = created;
    let done = if *is_carried_on { "found" } else { "made" };
    let mut lines = vec![match sheets.as_slice() {
        [sheet] => format!("sheet {done}: {}", sheet.display()),
        parts => format!("{} parts {done}: {}", parts.len(), parts[0].parent().unwrap_or(&parts[0]).display()),
    }];
    lines.push(format!("{cards} answers to {questions} questions"));
    for (count, what) in [
        (missing.len(), "answers are missing and on no card"),
        (repairs.len(), "repairs or peculiarities of the answers"),
        (leaks.len(), "signs that an answer tells whose it is"),
    ] {
        if count > 0 {
            lines.push(format!("{count} {what}"));
        }
    }
    lines.join("\n")
}

fn next(created: &Created, rater: Option<&str>) -> String {
    let rater = rater.map_or_else(|| "NAME".to_owned(), quoted);
    let sheet = created.sheets.first().map(|sheet| quoted(&sheet.to_string_lossy())).unwrap_or_default();
    let folder = match created.sheets.as_slice() {
        [_] => sheet.clone(),
        parts => parts[0].parent().map(|folder| quoted(&folder.to_string_lossy())).unwrap_or_default(),
    };
    format!(
        "what was repaired, is missing or tells its model (names models): owleval grade --sheet {folder} --notes\n\
         next: owleval grade --sheet {sheet} --rater {rater}"
    )
}

fn tell_imported(imported: &Imported, file: &Path, console: &Console) -> u8 {
    for note in &imported.notes {
        console.warn(note);
    }
    let exit_code = u8::from(!imported.unplaced.is_empty());
    if console.is_json() {
        console.print_json(imported);
        return exit_code;
    }
    let mut lines = vec![format!(
        "{} rows recorded, {} were recorded before, {} could not be placed",
        imported.placed,
        imported.unchanged,
        imported.unplaced.len()
    )];
    lines.extend(imported.unplaced.iter().map(|row| format!("  {}:{}: {}", file.display(), row.line, row.why)));
    console.print(&lines.join("\n"));
    exit_code
}

/// For `--json`, in the order in which people are told.
#[derive(Serialize)]
struct PrintedNotes<'a> {
    notes: &'a MakersNotes,
}

fn tell_notes(notes: &MakersNotes, console: &Console) {
    if console.is_json() {
        console.print_json(&PrintedNotes { notes });
        return;
    }
    let mut lines = Vec::new();
    let mut section = |title: &str, rows: Vec<String>| {
        lines.push(format!("{title}: {}", rows.len()));
        lines.extend(rows.into_iter().map(|row| format!("  {row}")));
    };
    let row = |model: &str, question: u64, what: &str| format!("{model}, question {question}: {what}");
    section("missing", notes.missing.iter().map(|one| row(&one.model_id, one.question_id, &one.why)).collect());
    section("answers that may tell whose they are", {
        notes.leaks.iter().map(|one| row(&one.model_id, one.question_id, &one.what)).collect()
    });
    section("repairs", notes.repairs.iter().map(|one| format!("{}, {}", one.model_id, one.what)).collect());
    console.print(&lines.join("\n"));
}
