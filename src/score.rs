//! Exact match against reference answers, where an evalset has them.
//!
//! A pure rule, so that a score can be computed again from `answers.jsonl` alone: two texts match where their
//! [`normalised`] forms are equal. Open questions have no reference and no score; they are never counted as wrong.

/// Whether an answer equals one of the accepted ones, both [`normalised`]; `None` where there is no reference.
///
/// An answer of which nothing is left never matches.
pub fn exact_match(answer: &str, references: &[String]) -> Option<bool> {
    if references.is_empty() {
        return None;
    }
    let answer = normalised(answer);
    Some(!answer.is_empty() && references.iter().any(|reference| normalised(reference) == answer))
}

/// The form in which answers are compared: lower case, single spaces, without punctuation at the ends of words and
/// without articles, numbers below one hundred in digits ("Twenty-one circles." becomes "21 circles").
///
/// Where nothing but articles would be left out of the text they stay: "A" is an answer too.
pub fn normalised(text: &str) -> String {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().map(trim_word).filter(|word| !word.is_empty()).collect();
    let without_articles: Vec<&str> =
        words.iter().copied().filter(|word| !matches!(*word, "a" | "an" | "the")).collect();
    digits(if without_articles.is_empty() { &words } else { &without_articles }).join(" ")
}

/// A word without punctuation around it. Signs that belong to a number or a quantity stay: "-3", "3.5", "$5", "50%".
fn trim_word(word: &str) -> &str {
    let is_mark = |c: char| {
        matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '*' | '…')
            || matches!(c, '\u{2018}'..='\u{201f}')
    };
    word.trim_matches(is_mark)
}

/// Replaces number words by digits: "three" by "3", "twenty-one" and "twenty one" by "21".
fn digits(words: &[&str]) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len());
    let mut index = 0;
    while let Some(&word) = words.get(index) {
        index += 1;
        if let Some(value) = small_number(word) {
            out.push(value.to_string());
        } else if let Some(tens) = ten_number(word) {
            // A unit may follow as a word of its own.
            let unit = words.get(index).and_then(|next| small_number(next)).filter(|unit| (1..10).contains(unit));
            index += usize::from(unit.is_some());
            out.push((tens + unit.unwrap_or(0)).to_string());
        } else if let Some(value) = hyphenated_number(word) {
            out.push(value.to_string());
        } else {
            out.push(word.to_owned());
        }
    }
    out
}

fn hyphenated_number(word: &str) -> Option<u32> {
    let (tens, unit) = word.split_once('-')?;
    let unit = small_number(unit).filter(|unit| (1..10).contains(unit))?;
    Some(ten_number(tens)? + unit)
}

fn small_number(word: &str) -> Option<u32> {
    const WORDS: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    WORDS.iter().position(|known| *known == word).and_then(|value| u32::try_from(value).ok())
}

fn ten_number(word: &str) -> Option<u32> {
    const WORDS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    WORDS.iter().position(|known| *known == word).and_then(|value| u32::try_from(20 + 10 * value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(answer: &str, reference: &str) -> bool {
        exact_match(answer, &[reference.to_owned()]).unwrap()
    }

    #[test]
    fn what_means_the_same_matches() {
        for (answer, reference) in [
            ("Red", "red"),
            ("  the red circle. ", "Red circle"),
            ("3", "three"),
            ("Three.", "3"),
            ("twenty-one", "21"),
            ("Twenty One", "21"),
            ("twenty", "20"),
            ("A", "a"),
            ("\"STOP\"!", "stop"),
            ("red, blue and green", "red blue and green"),
            ("a  red\n circle", "red circle"),
        ] {
            assert!(matches(answer, reference), "{answer:?} and {reference:?}");
        }
    }

    #[test]
    fn what_differs_does_not_match() {
        for (answer, reference) in [
            ("red", "blue"),
            ("13", "three"),
            ("twenty ten", "30"),
            ("-3", "3"),
            ("3.5", "35"),
            ("red circle", "circle red"),
            ("It is red", "red"),
            ("", "red"),
            ("...", "..."),
            ("the", "a"),
        ] {
            assert!(!matches(answer, reference), "{answer:?} and {reference:?}");
        }
    }

    #[test]
    fn any_of_the_accepted_answers_will_do_and_without_one_there_is_no_score() {
        let references = ["purple".to_owned(), "violet".to_owned()];
        assert_eq!(exact_match("Violet.", &references), Some(true));
        assert_eq!(exact_match("pink", &references), Some(false));
        assert_eq!(exact_match("pink", &[]), None);
    }

    #[test]
    fn every_number_below_one_hundred_is_known_in_words() {
        let tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
        let units = ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
        for value in 20..100 {
            let (ten, unit) = (tens[value / 10], units[value % 10]);
            assert!(matches(&format!("{ten} {unit}"), &value.to_string()), "{value}");
            assert!(unit.is_empty() || matches(&format!("{ten}-{unit}"), &value.to_string()), "{value}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing_more(text in "[ a-zA-Z0-9.,!?'\"-]{0,40}|.{0,40}") {
            let once = normalised(&text);
            prop_assert_eq!(normalised(&once), once);
        }
    }
}
