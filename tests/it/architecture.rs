//! Keeps the picture of `ARCHITECTURE.md` true: which room may use which, how long a file may be, who may name the
//! HTTP client.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A room (a folder of `src`, or a file beside `lib.rs`) and the rooms that it may use.
const ROOMS: [(&str, &[&str]); 21] = [
    ("error", &[]),
    ("sanitize", &["error"]),
    ("tls", &[]),
    ("evalset", &["error", "tls"]),
    ("scenes", &["error"]),
    ("owl", &["error", "tls"]),
    ("score", &["error", "evalset"]),
    ("stats", &["error"]),
    // Of `backend`, the plain types that a row repeats.
    ("record", &["error", "evalset", "backend"]),
    ("store", &["error", "evalset", "record"]),
    ("backend", &["error", "evalset", "record", "owl", "tls"]),
    ("runner", &["error", "evalset", "record", "backend", "store", "sanitize"]),
    ("grading", &["error", "evalset", "record", "backend", "store", "sanitize"]),
    ("tui", &["error", "sanitize", "evalset", "grading"]),
    ("judge", &["error", "evalset", "record", "backend", "store", "sanitize", "score", "stats", "runner"]),
    ("report", &["error", "backend", "evalset", "grading", "judge", "record", "sanitize", "score", "stats", "store"]),
    ("train", &["error", "owl", "scenes"]),
    (
        "ablation",
        &[
            "error", "evalset", "record", "backend", "store", "runner", "score", "scenes", "train", "stats", "grading",
            "report",
        ],
    ),
    ("serve", &["error", "evalset", "backend"]),
    ("bench", &["error", "owl"]),
    (
        "cli",
        &[
            "error", "sanitize", "evalset", "scenes", "owl", "score", "record", "store", "backend", "runner",
            "grading", "tui", "report", "train", "ablation", "serve", "bench", "stats", "judge",
        ],
    ),
];

/// Files of more lines than this, their unit tests aside, want a reason, below.
const LONG: usize = 400;

/// (file, why it is long)
const LONG_FOR_A_REASON: [(&str, &str); 1] = [("src/scenes/oracle.rs", "one grammar of questions, used by tests only")];

/// Who may name the HTTP client, and what for. A folder ends with a slash.
const HTTP_CLIENTS: [(&str, &str); 3] = [
    ("src/backend/http/", "asks an OpenAI-compatible server"),
    ("src/owl/hub/", "fetches a checkpoint from the Hugging Face hub"),
    ("src/evalset/pull.rs", "fetches the official data of OwlEval"),
];

/// A source file: its path from the package root, with slashes, and its text.
struct Source {
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src can be read") {
            let path: PathBuf = entry.expect("src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
                sources.push(Source { path: relative, text: std::fs::read_to_string(&path).expect("readable") });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The room that a file belongs to; `None` for `lib.rs` and `main.rs`, which tie the rooms together.
fn room_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?;
    let room = name.split('/').next()?;
    match room.strip_suffix(".rs") {
        Some("lib" | "main") => None,
        Some(file) => Some(file),
        None => Some(room),
    }
}

/// The rooms that a text names as `crate::room` or `crate::{room, …}`, each with its line, counted from 1.
fn rooms_named(text: &str) -> Vec<(usize, String)> {
    let code = without_comments(text);
    let mut named = Vec::new();
    for (position, found) in code.match_indices("crate::") {
        // `$crate::` of a macro names the same crate; `my_crate::` does not.
        if code[..position].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let line = code[..position].matches('\n').count() + 1;
        let rest = &code[position + found.len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => first_names_of_group(group),
            None => vec![identifier(rest)],
        };
        named.extend(names.into_iter().filter(|name| !name.is_empty()).map(|name| (line, name.to_owned())));
    }
    named
}

/// Of `a::b, c::{d, e}, f}` … the names `a`, `c`, `f`.
fn first_names_of_group(group: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut names = Vec::new();
    let mut begins = true;
    for (position, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && !character.is_whitespace() => {
                names.push(identifier(&group[position..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// The text with comment lines emptied, so that the numbers of the other lines stay. What a comment says is no import.
fn without_comments(text: &str) -> String {
    text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line }).collect::<Vec<_>>().join("\n")
}

/// What is wrong with the imports of some sources, a line each.
fn offences(sources: &[Source]) -> String {
    let mut offences = String::new();
    for source in sources {
        let Some(room) = room_of(&source.path) else { continue };
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            let _ = writeln!(offences, "{}: the room `{room}` is not in the table of rooms", source.path);
            continue;
        };
        for (line, named) in rooms_named(&source.text) {
            let is_room = ROOMS.iter().any(|(name, _)| *name == named);
            if is_room && named != room && !allowed.contains(&named.as_str()) {
                let _ = writeln!(offences, "{}:{line}: `{room}` uses `{named}`", source.path);
            }
        }
    }
    offences
}

#[test]
fn imports_run_one_way() {
    let offences = offences(&sources());
    assert!(offences.is_empty(), "not allowed by the table of rooms:\n{offences}");
}

#[test]
fn a_room_of_the_table_uses_rooms_of_the_table() {
    let table: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    for (room, uses) in ROOMS {
        for used in uses {
            assert!(table.contains(used), "`{room}` may use `{used}`, which is no room");
        }
    }
}

#[test]
fn the_only_circle_is_that_of_a_row_with_the_plain_types_of_a_backend() {
    for (room, uses) in ROOMS {
        for used in uses {
            let (_, back) = ROOMS.iter().find(|(name, _)| name == used).expect("a room of the table");
            assert!(
                !back.contains(&room) || [room, used] == ["record", "backend"] || [room, used] == ["backend", "record"]
            );
        }
    }
    // And of these only types that stand in the room's first file, no part of it that does something.
    for source in sources().iter().filter(|source| room_of(&source.path) == Some("record")) {
        for (position, found) in source.text.match_indices("crate::backend::") {
            let named = &source.text[position + found.len()..];
            assert!(
                named.starts_with(|c: char| c == '{' || c.is_uppercase()),
                "{}: `record` may use the plain types of `backend` only",
                source.path
            );
        }
    }
}

#[test]
fn an_import_that_runs_the_wrong_way_is_named_with_file_and_line() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let wrong = [
        source("src/owl/vision.rs", "use std::fs;\n// crate::cli is fine in a comment\nuse crate::evalset::Item;\n"),
        source("src/score.rs", "use crate::{\n    error::{Error, Result},\n    runner::now,\n};\n"),
        source("src/store/journal.rs", "fn f() { crate::backend::open() }\n"),
        source("src/newroom/mod.rs", ""),
        source("src/lib.rs", "pub use crate::cli::main;\n"),
    ];
    assert_eq!(
        offences(&wrong),
        "src/owl/vision.rs:3: `owl` uses `evalset`\n\
         src/score.rs:1: `score` uses `runner`\n\
         src/store/journal.rs:1: `store` uses `backend`\n\
         src/newroom/mod.rs: the room `newroom` is not in the table of rooms\n"
    );
}

#[test]
fn a_file_of_more_than_400_lines_has_a_reason() {
    let mut long = String::new();
    for source in sources() {
        let lines = lines_of_code(&source);
        let has_reason = LONG_FOR_A_REASON.iter().any(|(path, _)| *path == source.path);
        if lines > LONG && !has_reason {
            let _ = writeln!(long, "{}: {lines} lines", source.path);
        }
        assert!(!has_reason || lines > LONG, "{} has become short: take it from the list", source.path);
    }
    assert!(long.is_empty(), "more than {LONG} lines and no reason given:\n{long}");
}

/// Lines up to the unit tests at the end; none for a file that is tests alone.
fn lines_of_code(source: &Source) -> usize {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    if name.ends_with("tests.rs") || source.path.contains("/tests/") {
        return 0;
    }
    source.text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

#[test]
fn the_http_client_is_named_only_where_something_is_asked_of_the_network() {
    for source in sources() {
        let is_named = identifiers(&without_comments(&source.text)).any(|word| word == "reqwest");
        let may = HTTP_CLIENTS
            .iter()
            .any(|(place, _)| source.path == *place || place.ends_with('/') && source.path.starts_with(place));
        assert!(!is_named || may, "{} names the HTTP client", source.path);
    }
}

#[test]
fn the_library_of_the_screen_is_named_only_by_the_screen() {
    for source in sources().iter().filter(|source| room_of(&source.path) != Some("tui")) {
        let is_named =
            identifiers(&without_comments(&source.text)).any(|word| word == "ratatui" || word == "crossterm");
        assert!(!is_named, "{} names ratatui", source.path);
    }
}

fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}
