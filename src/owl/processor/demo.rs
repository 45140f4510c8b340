//! What the reference's web demo does to prompts and answers, beyond the template (section 8.3 of the specification).

use super::IMAGE_PLACEHOLDER;
use super::template::{Role, Turn};

/// Literals that the demo removes from an answer.
const REMOVED: [&str; 13] = [
    "<unk>",
    "<pad>",
    "<s>",
    "</s>",
    "[PAD]",
    "<|endoftext|>",
    "[UNK]",
    "[CLS]",
    "[MASK]",
    "<|startofpiece|>",
    "<|endofpiece|>",
    "[gMASK]",
    "[sMASK]",
];

/// The conversation as the demo first writes it down: system line, `Role: text` lines, the open `AI:` turn. A picture
/// is appended to its message unless the text holds the placeholder already.
pub fn raw_prompt(system: &str, turns: &[Turn]) -> String {
    raw_prompt_with(system, turns, IMAGE_PLACEHOLDER)
}

pub(super) fn raw_prompt_with(system: &str, turns: &[Turn], placeholder: &str) -> String {
    let mut raw = format!("{system}\n");
    for turn in turns {
        raw.push_str(match turn.role {
            Role::Human => "Human: ",
            Role::Assistant => "AI: ",
        });
        raw.push_str(&turn.text);
        if !turn.text.contains(placeholder) {
            for _ in 0..turn.images {
                raw.push('\n');
                raw.push_str(placeholder);
            }
        }
        raw.push('\n');
    }
    raw.push_str("AI:");
    raw
}

/// The demo's prompt, byte for byte. Several placeholders in one line collapse into one, as in the demo.
pub fn prompt(system: &str, turns: &[Turn]) -> String {
    relocate(&raw_prompt(system, turns), IMAGE_PLACEHOLDER, true)
}

/// Moves each placeholder onto a line of its own before the line that holds it.
pub(super) fn relocate(raw: &str, placeholder: &str, collapse: bool) -> String {
    let joined = raw.replace(&format!("\n{placeholder}"), placeholder);
    let mut lines = Vec::new();
    for line in joined.split('\n') {
        let found = line.matches(placeholder).count();
        if found == 0 {
            lines.push(line.to_owned());
            continue;
        }
        let images = if collapse { 1 } else { found };
        lines.extend(std::iter::repeat_n(format!("Human: {placeholder}"), images));
        let rest = line.replace(placeholder, "");
        if !rest.is_empty() {
            lines.push(rest);
        }
    }
    let prompt = lines.join("\n") + " ";
    prompt.replace("\n Human", "\nHuman").replace("\n AI", "\nAI")
}

/// Removes special pieces that a model wrote out, and the white space around the answer.
pub fn post_process_output(text: &str) -> String {
    let mut text = text.to_owned();
    for literal in REMOVED {
        text = text.replace(literal, "");
    }
    text.trim().to_owned()
}

/// Inside fenced code blocks, `\_` becomes `_`. Text whose last fence is open is left alone.
pub fn post_process_code(text: &str) -> String {
    const FENCE: &str = "\n```";
    let parts: Vec<&str> = text.split(FENCE).collect();
    if parts.len().is_multiple_of(2) {
        return text.to_owned();
    }
    let parts = parts
        .iter()
        .enumerate()
        .map(|(index, part)| if index % 2 == 1 { part.replace("\\_", "_") } else { (*part).to_owned() });
    parts.collect::<Vec<_>>().join(FENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_pieces_and_outer_space_go() {
        assert_eq!(post_process_output(" <s>A [PAD]dog.</s>\n"), "A dog.");
    }

    #[test]
    fn underscores_are_freed_in_closed_code_blocks_only() {
        assert_eq!(post_process_code("a\\_b\n```\nx\\_y\n```\nz\\_"), "a\\_b\n```\nx_y\n```\nz\\_");
        assert_eq!(post_process_code("\n```\nx\\_y"), "\n```\nx\\_y");
    }
}
