//! Verdicts in JSON, alone or within prose.

use serde_json::Value;

use super::{Candidate, Said, Wanted};
use crate::judge::scale::Scale;
use crate::record::Grade;

/// The verdict of the last JSON object that has one, of those that are not within another.
pub(super) fn last(text: &str, wanted: Wanted) -> Option<Candidate> {
    let mut found = None;
    let mut from = 0;
    while let Some(offset) = text[from..].find('{') {
        let start = from + offset;
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                let end = start + values.byte_offset();
                if let Some(said) = verdict(&value, wanted) {
                    found = Some(Candidate { end, said });
                }
                from = end;
            }
            _ => from = start + 1,
        }
    }
    found
}

/// `None` where the object has no verdict, `Some(None)` where it has one that is not on the menu.
fn verdict(value: &Value, wanted: Wanted) -> Option<Option<Said>> {
    let field = |names: &[&str]| {
        let object = value.as_object()?;
        object.iter().find(|(name, _)| names.iter().any(|known| known.eq_ignore_ascii_case(name))).map(|(_, v)| v)
    };
    match wanted {
        Wanted::Score(scale) => field(&["score", "rating", "评分"]).map(|value| number(value, scale).map(Said::Score)),
        Wanted::Scores(scale) => {
            let both = match field(&["scores", "ratings", "score", "rating"]) {
                Some(Value::Array(list)) => match list.as_slice() {
                    [first, second] => Some((first.clone(), second.clone())),
                    _ => return Some(None),
                },
                Some(object @ Value::Object(_)) => named(object),
                _ => named(value),
            };
            both.map(|(first, second)| {
                number(&first, scale).zip(number(&second, scale)).map(|(first, second)| Said::Scores([first, second]))
            })
        }
        Wanted::Grade => field(&["grade", "rating", "verdict", "等级"])
            .map(|value| value.as_str().and_then(|text| Grade::from_letter(text.trim())).map(Said::Grade)),
    }
}

/// The values of the two names of one pair of names.
fn named(value: &Value) -> Option<(Value, Value)> {
    const NAMES: [(&str, &str); 6] = [
        ("a", "b"),
        ("score_a", "score_b"),
        ("answer_a", "answer_b"),
        ("1", "2"),
        ("score1", "score2"),
        ("first", "second"),
    ];
    let object = value.as_object()?;
    let field =
        |wanted: &str| object.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    NAMES.iter().find_map(|(first, second)| Some((field(first)?.clone(), field(second)?.clone())))
}

/// A number of the scale, also where it stands in quotation marks or as "8/10".
fn number(value: &Value, scale: Scale) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => {
            let text = text.trim();
            let text = match text.split_once('/') {
                Some((number, of)) if of.trim().parse() == Ok(scale.1) => number.trim(),
                _ => text,
            };
            text.parse().ok()?
        }
        _ => return None,
    };
    scale.holds(number).then_some(number)
}
