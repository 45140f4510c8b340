//! What `owleval evalset` prints: evalsets and their defects as text and JSON.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::evalset::{Checked, EvalSet, ImageRoot, Item, Severity, Subset};
use crate::sanitize::{terminal, terminal_lines};

/// Counts by subset and ability, pictures, dialogues, source and licence; on request every question.
pub fn render_show(evalset: &EvalSet, questions: bool) -> String {
    let mut text = terminal(&evalset.name);
    if let Some(version) = &evalset.version {
        text.push_str(&format!(" {}", terminal(version)));
    }
    text.push('\n');
    if let Some(description) = &evalset.description {
        text.push_str(&format!("{}\n", terminal(description.trim())));
    }
    text.push('\n');
    let pictures = evalset.image_names().len();
    let with_reference = evalset.turns().filter(|(_, turn)| !turn.reference.is_empty()).count();
    let mut facts = plain_table();
    let mut fact = |name: &str, value: String| {
        facts.add_row([name, &value]);
    };
    if let Some(source) = &evalset.source {
        fact("source", terminal(source));
    }
    if let Some(licence) = &evalset.licence {
        fact("licence", terminal(licence));
    }
    fact("pictures in", terminal(&place(evalset)));
    fact("sha256", evalset.sha256.clone());
    fact("questions", evalset.turns().count().to_string());
    fact("with a reference", with_reference.to_string());
    fact("items", evalset.items.len().to_string());
    fact("pictures", pictures.to_string());
    fact("dialogues", dialogue_summary(evalset));
    text.push_str(&lines(&facts));
    text.push('\n');

    let mut counts = plain_table();
    counts.set_header(["", "", "questions"]);
    for (subset, count) in subset_counts(evalset) {
        counts.add_row(["subset", subset, &count.to_string()]);
    }
    for (letter, name, count) in ability_counts(evalset) {
        counts.add_row(["ability", &terminal(&format!("{letter}  {name}")), &count.to_string()]);
    }
    if let Some(column) = counts.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    text.push_str(&lines(&counts));
    if questions {
        text.push_str(&render_questions(evalset));
    }
    text
}

fn render_questions(evalset: &EvalSet) -> String {
    let mut text = String::new();
    for item in &evalset.items {
        text.push_str(&format!("\n{}", terminal(&item.id)));
        if !item.images.is_empty() && item.images != [item.id.clone()] {
            text.push_str(&format!("  ({})", terminal(&item.images.join(", "))));
        }
        text.push('\n');
        for turn in &item.turns {
            let subsets = turn.subsets.iter().map(|subset| subset.name()).collect::<Vec<_>>().join(" ");
            let abilities = terminal(&turn.abilities.join(","));
            text.push_str(&format!(
                "  {:>4}  {}  [{abilities}; {subsets}]\n",
                turn.question_id,
                terminal(&turn.question)
            ));
            if !turn.reference.is_empty() {
                text.push_str(&format!("        = {}\n", terminal(&turn.reference.join(" | "))));
            }
        }
    }
    text
}

/// The same as [`render_show`], for programs.
pub fn show_json(evalset: &EvalSet, questions: bool) -> Value {
    let abilities: Vec<Value> = ability_counts(evalset)
        .into_iter()
        .map(|(letter, name, count)| json!({ "ability": letter, "name": name, "questions": count }))
        .collect();
    let dialogues: Vec<Value> =
        dialogues(evalset).map(|item| json!({ "item": item.id, "turns": item.turns.len() })).collect();
    let mut value = json!({
        "name": evalset.name,
        "version": evalset.version,
        "description": evalset.description,
        "source": evalset.source,
        "licence": evalset.licence,
        "sha256": evalset.sha256,
        "pictures_in": place(evalset),
        "questions": evalset.turns().count(),
        "with_reference": evalset.turns().filter(|(_, turn)| !turn.reference.is_empty()).count(),
        "items": evalset.items.len(),
        "pictures": evalset.image_names().len(),
        "subsets": subset_counts(evalset).into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect::<serde_json::Map<_, _>>(),
        "abilities": abilities,
        "dialogues": dialogues,
    });
    if questions {
        let rows = evalset.items.iter().flat_map(|item| item.turns.iter().enumerate().map(move |row| (item, row)));
        value["rows"] = rows
            .map(|(item, (turn, row))| {
                json!({
                    "item": item.id,
                    "turn": turn,
                    "images": item.images,
                    "question_id": row.question_id,
                    "question": row.question,
                    "abilities": row.abilities,
                    "subsets": row.subsets,
                    "reference": row.reference,
                })
            })
            .collect();
    }
    value
}

/// One line and, where there is one, a remedy for every defect, then their number.
pub fn render_checked(checked: &Checked) -> String {
    let mut text = String::new();
    for defect in &checked.defects {
        // A defect is one line and its remedy another: breaks inside a message become visible.
        let shown = crate::evalset::Defect { remedy: None, ..defect.clone() };
        text.push_str(&terminal(&shown.to_string()));
        text.push('\n');
        if let Some(remedy) = &defect.remedy {
            text.push_str(&format!("    {}\n", terminal(remedy)));
        }
    }
    if !checked.defects.is_empty() {
        text.push('\n');
    }
    text.push_str(&format!(
        "{}: {}, {}: {}, {}, {}\n",
        terminal(&checked.name),
        counted(checked.questions, "question"),
        counted(checked.pictures, "picture"),
        counted(checked.count(Severity::Error), "error"),
        counted(checked.count(Severity::Warning), "warning"),
        counted(checked.count(Severity::Note), "note"),
    ));
    text
}

/// The rows of `owleval evalset list`, as made for JSON.
pub fn render_list(rows: &[Value]) -> String {
    let mut table = plain_table();
    table.set_header(["name", "questions", "pictures", ""]);
    for row in rows {
        let number = |key: &str| row[key].as_u64().map(|count| count.to_string()).unwrap_or_default();
        let text = |key: &str| terminal(row[key].as_str().unwrap_or_default());
        table.add_row([text("name"), number("questions"), number("pictures"), text("origin")]);
    }
    for index in [1, 2] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    terminal_lines(&lines(&table))
}

fn subset_counts(evalset: &EvalSet) -> Vec<(&'static str, usize)> {
    let count = |subset| evalset.turns().filter(|(_, turn)| turn.subsets.contains(&subset)).count();
    let mut counts = vec![("all", evalset.turns().count())];
    counts.extend(Subset::ALL.map(|subset| (subset.name(), count(subset))));
    counts
}

fn ability_counts(evalset: &EvalSet) -> Vec<(&str, &str, usize)> {
    let count = |letter: &String| evalset.turns().filter(|(_, turn)| turn.abilities.contains(letter)).count();
    evalset.abilities.iter().map(|(letter, name)| (letter.as_str(), name.as_str(), count(letter))).collect()
}

fn dialogues(evalset: &EvalSet) -> impl Iterator<Item = &Item> {
    evalset.items.iter().filter(|item| item.turns.len() > 1)
}

/// `20: 16 of 2 turns, 1 of 3 turns, …`
fn dialogue_summary(evalset: &EvalSet) -> String {
    let mut lengths = std::collections::BTreeMap::<usize, usize>::new();
    for item in dialogues(evalset) {
        *lengths.entry(item.turns.len()).or_default() += 1;
    }
    let total: usize = lengths.values().sum();
    let parts: Vec<String> = lengths.iter().map(|(turns, count)| format!("{count} of {turns} turns")).collect();
    if parts.is_empty() { "0".to_owned() } else { format!("{total}: {}", parts.join(", ")) }
}

fn place(evalset: &EvalSet) -> String {
    match &evalset.images {
        ImageRoot::Folder(folder) => folder.display().to_string(),
        ImageRoot::Embedded(_) => "the program itself".to_owned(),
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Columns without lines, as wide as their content: the same on every terminal and in a pipe.
fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// A table without the spaces at the ends of its lines.
fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evalset::{check, fixture};

    /// The temporary folder has another name every time.
    fn without(folder: &tempfile::TempDir, text: &str) -> String {
        text.replace(&folder.path().display().to_string(), "DIR")
    }

    /// Encoders of pictures may change between versions, and the digest with them.
    fn without_digest(evalset: &EvalSet, text: &str) -> String {
        text.replace(&evalset.sha256, "SHA256")
    }

    #[test]
    fn an_evalset_is_shown_by_subset_and_ability() {
        let folder = fixture::made_up();
        let evalset = EvalSet::open(folder.path()).expect("an evalset");
        insta::assert_snapshot!("show", without(&folder, &without_digest(&evalset, &render_show(&evalset, true))));
        let text = format!("{:#}", show_json(&evalset, true));
        insta::assert_snapshot!("show_json", without(&folder, &without_digest(&evalset, &text)));
    }

    #[test]
    fn every_defect_is_shown_by_file_and_line() {
        let folder = fixture::broken();
        let checked = check(folder.path()).expect("an evalset that can be checked");
        let text = render_checked(&checked);
        assert!(!text.contains('\u{1b}'), "escape sequences are not shown raw");
        insta::assert_snapshot!("check", without(&folder, &text));
    }

    #[test]
    fn what_files_say_reaches_the_terminal_as_marks() {
        let folder = fixture::made_up();
        let row = r#"{"question_id": 1, "question": "a\u001b]0;t\u0007\rb\u202e", "ability": "a", "category": ["single_turn"], "reference": "\u009b2J"}"#;
        fixture::write(folder.path(), "questions.jsonl", row);
        fixture::write(folder.path(), "evalset.toml", "name = \"x\\u001b[2J\"\nlicence = \"a\\nb\"");
        let evalset = EvalSet::open(folder.path()).expect("an evalset");
        let text = render_show(&evalset, true);
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text}");
        assert!(text.contains("x␛[2J") && text.contains("a␛]0;t␇␍b⟦U+202E⟧") && text.contains("a␊b"), "{text}");
    }

    #[test]
    fn the_list_has_a_line_an_evalset() {
        let rows = [
            json!({ "name": "mini", "origin": "built in", "questions": 60, "pictures": 24 }),
            json!({ "name": "owleval", "origin": "not here yet" }),
        ];
        insta::assert_snapshot!("list", render_list(&rows));
    }
}
