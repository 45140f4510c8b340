//! A line of `questions.jsonl` becomes a [`Row`], or the defects that it has.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::Subset;
use super::confined::is_confined_name;
use super::defect::{Defect, DefectKind, Severity};

/// A question as the file has it, after its checks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// 1-based.
    pub line: usize,
    pub question_id: u64,
    /// Names under the image folder; empty for text only.
    pub images: Vec<String>,
    pub question: String,
    pub abilities: Vec<String>,
    pub subsets: Vec<Subset>,
    pub group: Option<String>,
    pub reference: Vec<String>,
}

/// What a line held: its id as far as it has one, and the row if nothing in it is refused.
pub(super) struct ParsedLine {
    pub question_id: Option<u64>,
    pub row: Option<Row>,
    pub defects: Vec<Defect>,
}

/// Collects the defects of one line.
struct LineReader<'a> {
    file: &'a Path,
    line: usize,
    question_id: Option<u64>,
    defects: Vec<Defect>,
}

/// Reads one line. `abilities` are the letters that the evalset knows.
pub(super) fn parse(file: &Path, line: usize, text: &str, abilities: &BTreeMap<String, String>) -> ParsedLine {
    let mut reader = LineReader { file, line, question_id: None, defects: Vec::new() };
    let row = reader.row(text, abilities);
    let refused = reader.defects.iter().any(Defect::is_refused);
    ParsedLine { question_id: reader.question_id, row: row.filter(|_| !refused), defects: reader.defects }
}

impl LineReader<'_> {
    fn push(&mut self, severity: Severity, kind: DefectKind, message: impl Into<String>, remedy: &str) {
        let defect = Defect::new(severity, kind, self.file.to_owned(), message).line(self.line);
        self.defects.push(defect.question(self.question_id).remedy(remedy));
    }

    fn error(&mut self, kind: DefectKind, message: impl Into<String>, remedy: &str) {
        self.push(Severity::Error, kind, message, remedy);
    }

    fn row(&mut self, text: &str, known_abilities: &BTreeMap<String, String>) -> Option<Row> {
        let fields = match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(fields)) => fields,
            Ok(other) => {
                let message = format!("is {} and not an object", type_name(&other));
                self.error(DefectKind::Json, message, "every line is one JSON object in braces");
                return None;
            }
            Err(error) => {
                // The line number that serde_json knows is always 1 here.
                let message = error.to_string();
                let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
                let message = format!("is not JSON: {message} at column {}", error.column());
                self.error(DefectKind::Json, message, "every line is one whole JSON object");
                return None;
            }
        };
        // The id first, so that the other defects can name the question.
        let question_id = self.question_id(&fields);
        let question = self.question(&fields);
        let images = self.images(&fields);
        let abilities = self.abilities(&fields, known_abilities);
        let subsets = self.subsets(&fields);
        let group = self.group(&fields);
        let reference = self.reference(&fields);
        Some(Row {
            line: self.line,
            question_id: question_id?,
            images: images?,
            question: question?,
            abilities: abilities?,
            subsets: subsets?,
            group: group?,
            reference: reference?,
        })
    }

    fn question_id(&mut self, fields: &Map<String, Value>) -> Option<u64> {
        let remedy = "give every question a whole number of its own";
        match fields.get("question_id") {
            None => self.error(DefectKind::Field, "question_id is missing", remedy),
            Some(value) => match value.as_u64() {
                Some(question_id) => self.question_id = Some(question_id),
                None => {
                    let message = format!("question_id is {} and not a whole number from 0", shown(value));
                    self.error(DefectKind::Field, message, remedy);
                }
            },
        }
        self.question_id
    }

    fn question(&mut self, fields: &Map<String, Value>) -> Option<String> {
        let text = match fields.get("question") {
            Some(Value::String(text)) => text,
            Some(other) => {
                let message = format!("question is {} and not a text", type_name(other));
                self.error(DefectKind::Field, message, "write the question in quotes");
                return None;
            }
            None => {
                self.error(DefectKind::Field, "question is missing", "write the question");
                return None;
            }
        };
        if text.trim().is_empty() {
            self.error(DefectKind::EmptyQuestion, "the question is empty", "write the question or drop the line");
            return None;
        }
        let as_it_is = "it is asked as it stands";
        if text.trim() != text {
            self.push(Severity::Note, DefectKind::WhiteSpace, "the question begins or ends with white space", as_it_is);
        }
        if let Some(mark) = text.chars().find(|mark| matches!(mark, '？' | '！' | '，' | '。' | '：' | '；')) {
            let message = format!("the question holds a full-width {mark}");
            self.push(Severity::Note, DefectKind::FullWidth, message, as_it_is);
        }
        if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
            let message = "the question holds control characters";
            self.push(Severity::Warning, DefectKind::ControlCharacter, message, as_it_is);
        }
        Some(text.clone())
    }

    fn images(&mut self, fields: &Map<String, Value>) -> Option<Vec<String>> {
        let names = match fields.get("image") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(values)) => match texts(values) {
                Some(names) => names,
                None => {
                    let message = "image holds something else than file names";
                    self.error(DefectKind::Field, message, "list the names of the picture files in quotes");
                    return None;
                }
            },
            Some(other) => {
                let message = format!("image is {} and not a file name", type_name(other));
                self.error(DefectKind::Field, message, "a file name, a list of file names, or null for text only");
                return None;
            }
        };
        for name in &names {
            if name.is_empty() {
                self.error(DefectKind::Field, "image is an empty name", "write null for a question without a picture");
                return None;
            }
            if !is_confined_name(name) {
                let message = format!("image \"{name}\" leads out of the image folder");
                self.error(DefectKind::LeavesFolder, message, "name a file inside the image folder");
                return None;
            }
        }
        Some(names)
    }

    fn abilities(&mut self, fields: &Map<String, Value>, known: &BTreeMap<String, String>) -> Option<Vec<String>> {
        let letters = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let written = match fields.get("ability") {
            Some(Value::String(text)) => Some(text.split(',').map(str::to_owned).collect()),
            Some(Value::Array(values)) => texts(values),
            Some(_) => None,
            None => {
                let remedy = format!("list the abilities that the question needs, of {letters}");
                self.error(DefectKind::Field, "ability is missing", &remedy);
                return None;
            }
        };
        let Some(written): Option<Vec<String>> = written else {
            let message = "ability is neither a text nor a list of texts";
            self.error(DefectKind::Field, message, "write \"a,b,e\" or [\"a\", \"b\", \"e\"]");
            return None;
        };
        let mut abilities: Vec<String> = Vec::new();
        for ability in written.iter().map(|ability| ability.trim()).filter(|ability| !ability.is_empty()) {
            if !known.contains_key(ability) {
                let message = format!("unknown ability \"{ability}\"");
                self.error(
                    DefectKind::UnknownAbility,
                    message,
                    &format!("the abilities of this evalset are {letters}"),
                );
            } else if !abilities.iter().any(|listed| listed == ability) {
                abilities.push(ability.to_owned());
            }
        }
        if written.iter().all(|ability| ability.trim().is_empty()) {
            let message = "ability is empty: the question counts for none";
            self.push(Severity::Warning, DefectKind::Field, message, &format!("the abilities are {letters}"));
        }
        Some(abilities)
    }

    fn subsets(&mut self, fields: &Map<String, Value>) -> Option<Vec<Subset>> {
        let remedy = "a list of \"single_turn\" and \"multi_turn\"";
        let names = match fields.get("category") {
            Some(Value::String(text)) => Some(vec![text.clone()]),
            Some(Value::Array(values)) => texts(values),
            Some(_) => None,
            None => {
                self.error(DefectKind::Field, "category is missing", remedy);
                return None;
            }
        };
        let Some(names) = names else {
            self.error(DefectKind::Field, "category is not a list of texts", remedy);
            return None;
        };
        let mut subsets = Vec::new();
        for name in &names {
            match Subset::from_name(name) {
                Some(subset) if subsets.contains(&subset) => {}
                Some(subset) => subsets.push(subset),
                None => self.error(DefectKind::UnknownCategory, format!("unknown category \"{name}\""), remedy),
            }
        }
        if names.is_empty() {
            let message = "category is empty: the question counts in no subset";
            self.push(Severity::Warning, DefectKind::Field, message, remedy);
        }
        Some(subsets)
    }

    fn group(&mut self, fields: &Map<String, Value>) -> Option<Option<String>> {
        match fields.get("group") {
            None | Some(Value::Null) => Some(None),
            Some(Value::String(name)) if !name.trim().is_empty() => Some(Some(name.clone())),
            Some(Value::Number(number)) => Some(Some(number.to_string())),
            Some(_) => {
                let remedy = "give the rows of one conversation the same name, or leave group out";
                self.error(DefectKind::Field, "group is neither a name nor a number", remedy);
                None
            }
        }
    }

    fn reference(&mut self, fields: &Map<String, Value>) -> Option<Vec<String>> {
        let values = match fields.get("reference") {
            None | Some(Value::Null) => return Some(Vec::new()),
            Some(Value::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
        };
        let answers: Option<Vec<String>> = values
            .iter()
            .map(|value| match value {
                Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .collect();
        if answers.is_none() {
            let message = "reference holds something else than answers, or an empty one";
            self.error(DefectKind::Field, message, "an answer, a list of accepted answers, or leave it out");
        }
        answers
    }
}

/// The texts of a list; none if something else is in it.
fn texts(values: &[Value]) -> Option<Vec<String>> {
    values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A short value as written, a long one by its type.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 24 { text } else { type_name(value).to_owned() }
}
