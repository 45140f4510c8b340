//! The judge without a model: an answer beside the accepted ones.

use serde::{Deserialize, Serialize};

use crate::score::normalised;

/// How near an answer comes to the nearest reference, by four rules. Each is from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// The same characters, but for white space around them.
    pub exact: f64,
    /// The same after normalisation (`score::normalised`): the score of the rating.
    pub normalised: f64,
    /// The last number of the answer is the last number of the reference; null where no reference holds a number.
    pub number: Option<f64>,
    /// The reference stands in the answer, as whole words.
    pub contains: f64,
    /// F1 of the normalised words, as in SQuAD (Rajpurkar et al. 2016, section 6.1).
    pub overlap: f64,
}

/// Compares an answer with the references; `None` without any.
pub fn measure(answer: &str, references: &[String]) -> Option<Measures> {
    let words: Vec<String> = words(answer);
    let number = last_number(&words);
    let mut best: Option<Measures> = None;
    for reference in references {
        let wanted = self::words(reference);
        let is = |so: bool| f64::from(u8::from(so));
        let one = Measures {
            exact: is(answer.trim() == reference.trim()),
            normalised: is(!words.is_empty() && words == wanted),
            number: last_number(&wanted).map(|wanted| is(number == Some(wanted))),
            contains: is(!wanted.is_empty() && words.windows(wanted.len()).any(|window| window == wanted)),
            overlap: f1(&words, &wanted),
        };
        best = Some(match best {
            None => one,
            Some(best) => Measures {
                exact: best.exact.max(one.exact),
                normalised: best.normalised.max(one.normalised),
                number: match (best.number, one.number) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    (a, b) => a.or(b),
                },
                contains: best.contains.max(one.contains),
                overlap: best.overlap.max(one.overlap),
            },
        });
    }
    best
}

/// Normalised words; each Chinese or Japanese character is a word, since their texts have no spaces.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for piece in normalised(text).split_whitespace() {
        let mut word = String::new();
        for character in piece.chars() {
            let stands_alone = matches!(u32::from(character), 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xF900..=0xFAFF);
            let is_mark =
                matches!(character, '。' | '，' | '、' | '！' | '？' | '；' | '：' | '「' | '」' | '《' | '》');
            if (stands_alone || is_mark) && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if stands_alone {
                words.push(character.to_string());
            } else if !is_mark {
                word.push(character);
            }
        }
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}

/// The last number of a text: digits with an optional sign, point and thousands commas, whatever unit is glued to it.
fn last_number(words: &[String]) -> Option<f64> {
    words.iter().rev().find_map(|word| {
        let start = word.find(|c: char| c.is_ascii_digit())?;
        let is_negative = word[..start].ends_with(['-', '−']);
        let digits: String = word[start..]
            .chars()
            .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
            .filter(|c| *c != ',')
            .collect();
        let value: f64 = digits.trim_end_matches('.').parse().ok()?;
        Some(if is_negative { -value } else { value })
    })
}

fn f1(answer: &[String], reference: &[String]) -> f64 {
    let mut left: Vec<&String> = reference.iter().collect();
    let mut common = 0.0;
    for word in answer {
        if let Some(at) = left.iter().position(|other| *other == word) {
            left.swap_remove(at);
            common += 1.0;
        }
    }
    if common == 0.0 { 0.0 } else { 2.0 * common / (answer.len() + reference.len()) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answer: &str, references: &[&str]) -> Measures {
        let references: Vec<String> = references.iter().map(|text| (*text).to_owned()).collect();
        measure(answer, &references).unwrap()
    }

    #[test]
    fn the_rules_differ_in_what_they_forgive() {
        let same = of(" Jupiter ", &["Jupiter"]);
        assert_eq!((same.exact, same.normalised, same.contains, same.overlap), (1.0, 1.0, 1.0, 1.0));
        assert_eq!(same.number, None);
        let spelt = of("the jupiter.", &["Jupiter"]);
        assert_eq!((spelt.exact, spelt.normalised), (0.0, 1.0));
        let sentence = of("The largest planet is Jupiter.", &["Jupiter"]);
        assert_eq!((sentence.normalised, sentence.contains), (0.0, 1.0));
        assert_eq!(sentence.overlap, 2.0 / 5.0);
        let wrong = of("Saturn", &["Jupiter"]);
        assert_eq!((wrong.contains, wrong.overlap), (0.0, 0.0));
    }

    #[test]
    fn numbers_are_compared_by_value_and_the_last_one_counts() {
        for (answer, reference, expected) in [
            ("12 times 4 is 48, so it is 48 metres.", "48", Some(1.0)),
            ("forty-eight", "48", Some(1.0)),
            ("It is 1,500 m.", "1500", Some(1.0)),
            ("1.50", "1.5", Some(1.0)),
            ("about 30km", "30", Some(1.0)),
            ("-3", "3", Some(0.0)),
            ("48 of 50", "48", Some(0.0)),
            ("no number", "48", Some(0.0)),
            ("48", "red", None),
        ] {
            assert_eq!(of(answer, &[reference]).number, expected, "{answer:?} {reference:?}");
        }
    }

    #[test]
    fn the_nearest_reference_counts() {
        let measures = of("29 days", &["28", "29 days", "twenty-nine"]);
        assert_eq!((measures.exact, measures.normalised, measures.number), (1.0, 1.0, Some(1.0)));
        assert_eq!(measure("x", &[]), None);
    }

    #[test]
    fn chinese_and_japanese_words_are_found_without_spaces() {
        let measures = of("答案是水银。", &["水银"]);
        assert_eq!((measures.normalised, measures.contains), (0.0, 1.0));
        assert!(measures.overlap > 0.5);
        assert_eq!(of("富士山です。", &["富士山"]).contains, 1.0);
    }

    #[test]
    fn an_empty_answer_or_reference_never_matches() {
        assert_eq!(of("...", &["..."]).normalised, 0.0);
        assert_eq!(of("", &["x"]).contains, 0.0);
        assert_eq!(of("x", &[""]).contains, 0.0);
    }
}
