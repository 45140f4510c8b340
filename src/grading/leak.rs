//! Answers that tell whose they are: they name a model, or bring a piece of a prompt template with them.
//!
//! They are shown to graders as they are, since what a model said is what is graded; whoever makes a sheet is told, and
//! may leave a model out or treat such answers on their own.

use serde::{Deserialize, Serialize};

/// An answer that may give its model away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leak {
    pub model_id: String,
    pub question_id: u64,
    pub what: String,
}

/// Marks of the roles and of the special tokens of usual templates, where a model goes on writing its own dialogue.
const ROLES: [&str; 6] = ["ai:", "human:", "user:", "assistant:", "### human", "### assistant"];
const TOKENS: [&str; 9] = ["<image>", "<human>", "<bot>", "<|", "</s>", "<s>", "[inst]", "<unk>", "<img>"];

/// Models that OwlEval's authors compare, as their own answers would write them.
const KNOWN: [&str; 6] = ["mplugowl", "llava", "minigpt4", "blip2", "mmreact", "openflamingo"];

/// Parts of a model's id that are no name: sizes and versions.
fn is_size_or_version(part: &str) -> bool {
    let digits = part.trim_start_matches('v').trim_end_matches(['b', 'm']);
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
        || ["chat", "hf", "base", "instruct", "v"].contains(&part)
}

/// A name without what people write differently: `mPLUG_Owl_7b:v1` and `mPLUG-Owl` are `mplugowl`.
fn bare_name(model_id: &str) -> String {
    let last = model_id.rsplit('/').next().unwrap_or(model_id).to_lowercase();
    words(&last).into_iter().filter(|part| !is_size_or_version(part)).collect()
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

/// What in an answer tells of its model. `models` are the ids of all models of the sheet.
pub(super) fn find(answer: &str, models: &[&str]) -> Vec<String> {
    let lower = answer.to_lowercase();
    let mut found = Vec::new();
    for role in ROLES {
        let is_mark = |position: usize| lower[..position].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
        if lower.match_indices(role).any(|(position, _)| is_mark(position)) {
            found.push(format!("it holds {role:?}, a role of a prompt template"));
        }
    }
    for token in TOKENS {
        if lower.contains(token) {
            found.push(format!("it holds {token:?}, a token of a prompt template"));
        }
    }
    let words = words(&lower);
    let mut names: Vec<String> = models.iter().map(|model| bare_name(model)).collect();
    names.extend(KNOWN.map(str::to_owned));
    names.sort();
    names.dedup();
    // A short name, such as "owl", is a word of the language too.
    for name in names.iter().filter(|name| name.chars().count() >= 5) {
        if is_named(&words, name) {
            found.push(format!("it names the model {name:?}"));
        }
    }
    found
}

/// Whether a few words in a row, written together, are the name.
fn is_named(words: &[&str], name: &str) -> bool {
    (0..words.len()).any(|start| {
        let mut rest = name;
        for word in &words[start..] {
            match rest.strip_prefix(word) {
                Some("") => return true,
                Some(left) => rest = left,
                None => return false,
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_without_sizes_and_versions() {
        for (id, name) in [
            ("mPLUG_Owl_7b:v1", "mplugowl"),
            ("llava-13b", "llava"),
            ("minigpt4_13b", "minigpt4"),
            ("BLIP2", "blip2"),
            ("MMreact", "mmreact"),
            ("hf:MAGAer13/mplug-owl-llama-7b", "mplugowlllama"),
            ("owl-mini", "owlmini"),
        ] {
            assert_eq!(bare_name(id), name);
        }
    }

    #[test]
    fn a_name_is_found_however_it_is_written_and_nowhere_else() {
        let models = ["mPLUG_Owl_7b:v1", "my-great-model", "owl"];
        let find = |answer: &str| find(answer, &models);
        for answer in ["As mPLUG-Owl, I see", "I am mPLUG Owl.", "(MPLUG_OWL)", "My Great Model says", "I'm MiniGPT-4!"]
        {
            assert_eq!(find(answer).len(), 1, "{answer}: {:?}", find(answer));
        }
        for answer in
            ["An owl sits on a great model of a house.", "plug owl", "the mplug", "Paisley: AIs; human: beings"]
        {
            let names: Vec<String> = find(answer).into_iter().filter(|what| what.contains("names")).collect();
            assert_eq!(names, Vec::<String>::new(), "{answer}");
        }
    }

    #[test]
    fn pieces_of_templates_are_found() {
        let find = |answer: &str| find(answer, &[]);
        assert_eq!(
            find("A cup.\nHuman: And now?\nAI: A jug."),
            ["it holds \"ai:\", a role of a prompt template", "it holds \"human:\", a role of a prompt template"]
        );
        assert_eq!(find("A cup.</s>").len(), 1);
        assert!(find("Hawaii: an island. A superhuman: strong.").is_empty());
    }
}
