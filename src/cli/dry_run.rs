//! `owleval run --dry-run`: what would be asked and what it would cost. Nothing is asked and nothing is written.

use std::collections::HashSet;
use std::io::Cursor;

use serde::Serialize;

use super::run_options::RunArguments;
use super::{Console, backend};
use crate::error::Result;
use crate::evalset::{Conversation, EvalSet, Message, Part, Role, Selected};
use crate::owl::processor::template::{self, Template};
use crate::runner::Past;

/// So many questions are shown to people in full; all of them with `-v` or `--json`.
const SHOWN: usize = 5;

#[derive(Debug, Serialize)]
struct DryRun<'a> {
    evalset: &'a str,
    evalset_sha256: &'a str,
    conversations: usize,
    questions: usize,
    pictures: usize,
    /// Only for endpoints: the built-in model costs nothing but time.
    estimate: Option<Estimate>,
    prompts: Vec<Prompt>,
}

/// What a server would count, at most: every answer as long as it may be, and the history too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Estimate {
    prompt_tokens: u64,
    completion_tokens: u64,
    /// In the currency of the prices that were given; null without them.
    cost: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Prompt {
    question_id: u64,
    item: String,
    turn: usize,
    messages: Vec<Said>,
    /// What the built-in model reads, with `<image>` for each picture; null for a server, which has its own template.
    rendered: Option<String>,
}

#[derive(Debug, Serialize)]
struct Said {
    role: Role,
    images: Vec<String>,
    text: String,
}

/// Prints the prompts, the counts and, for endpoints, the estimate.
pub fn dry_run(
    arguments: &RunArguments,
    evalset: &EvalSet,
    selected: &[Selected],
    past: &Past,
    console: &Console,
) -> Result<()> {
    let answer_tokens = arguments.decoding.max_new_tokens;
    let mut prompts = Vec::new();
    let mut tokens = 0;
    let template = match (&arguments.endpoint.endpoint, &arguments.answers) {
        (None, None) => Some(backend::template(&arguments.model)?),
        _ => None,
    };
    for one in selected {
        let item = &one.item;
        // In a run this fails the conversation's questions alone.
        let images = match evalset.pictures(item) {
            Ok(images) => images,
            Err(error) => {
                console.warn(&format!("{}: {error}", item.id));
                continue;
            }
        };
        // What the model would say is not known yet.
        let said = item.turns.iter().map(|turn| match past {
            Past::Published(published) => {
                published.history(turn.question_id).unwrap_or("<no answer that could be history>").to_owned()
            }
            Past::Own | Past::None => format!("<the answer to question {}>", turn.question_id),
        });
        let dialogue: Vec<(String, String)> = item.turns.iter().map(|turn| turn.question.clone()).zip(said).collect();
        for turn in one.asked(past.is_own()) {
            let earlier = if matches!(past, Past::None) { &[] } else { &dialogue[..turn] };
            let conversation = Conversation::new(item, turn, &images, earlier)?;
            tokens += prompt_tokens(&conversation, past.is_own(), answer_tokens);
            prompts.push(prompt(&conversation, template.as_ref())?);
        }
    }
    let pictures: HashSet<&String> = selected.iter().flat_map(|one| &one.item.images).collect();
    let completion_tokens = answer_tokens.saturating_mul(prompts.len() as u64);
    let prices = arguments.prices.price_prompt.zip(arguments.prices.price_completion);
    let estimate = arguments.endpoint.endpoint.as_ref().map(|_| Estimate {
        prompt_tokens: tokens,
        completion_tokens,
        cost: prices
            .map(|(prompt, completion)| (tokens as f64 * prompt + completion_tokens as f64 * completion) / 1_000_000.0),
    });
    let dry_run = DryRun {
        evalset: &evalset.name,
        evalset_sha256: &evalset.sha256,
        conversations: selected.len(),
        questions: prompts.len(),
        pictures: pictures.len(),
        estimate,
        prompts,
    };
    if console.is_json() {
        console.print_json(&dry_run);
    } else {
        console.print(&in_words(&dry_run, console.verbosity() > 0));
    }
    Ok(())
}

fn in_words(dry_run: &DryRun<'_>, shows_all: bool) -> String {
    let mut lines = Vec::new();
    let shown = if shows_all { dry_run.prompts.len() } else { SHOWN };
    for prompt in dry_run.prompts.iter().take(shown) {
        lines.push(format!("question {}, turn {} of {}", prompt.question_id, prompt.turn + 1, prompt.item));
        if let Some(rendered) = &prompt.rendered {
            let pictures: Vec<&str> =
                prompt.messages.iter().flat_map(|said| &said.images).map(String::as_str).collect();
            if !pictures.is_empty() {
                lines.push(format!("  pictures: {}", pictures.join(", ")));
            }
            lines.push(indented(rendered));
            lines.push(String::new());
            continue;
        }
        for said in &prompt.messages {
            let who = if said.role == Role::Human { "human" } else { "assistant" };
            let pictures: String = said.images.iter().map(|name| format!("<picture {name}> ")).collect();
            lines.push(format!("  {who}: {pictures}{}", indented(&said.text).trim_start()));
        }
        lines.push(String::new());
    }
    if let Some(left @ 1..) = dry_run.prompts.len().checked_sub(shown) {
        lines.push(format!("… and {left} more questions (-v shows them all)"));
        lines.push(String::new());
    }
    lines.push(format!(
        "{}: {} questions in {} conversations about {} pictures",
        dry_run.evalset, dry_run.questions, dry_run.conversations, dry_run.pictures
    ));
    if let Some(estimate) = &dry_run.estimate {
        lines.push(format!(
            "at most about {} prompt tokens and {} answer tokens (text: a token for four characters; pictures: 85 tokens \
             and 170 for each tile of 512 pixels, as OpenAI counts; other servers count otherwise)",
            estimate.prompt_tokens, estimate.completion_tokens
        ));
        lines.push(match estimate.cost {
            Some(cost) => format!("at most about {cost:.2}, at the prices that you gave"),
            None => "for a cost, give --price-prompt and --price-completion (for a million tokens)".to_owned(),
        });
    }
    lines.push("nothing was asked".to_owned());
    lines.join("\n")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn prompt(conversation: &Conversation, template: Option<&Template>) -> Result<Prompt> {
    let messages: Vec<Said> = conversation.messages.iter().map(said).collect();
    let turns = messages.iter().map(|said| match said.role {
        Role::Human => template::Turn::human(said.text.as_str(), said.images.len()),
        Role::Assistant => template::Turn::assistant(said.text.as_str()),
    });
    let rendered = template.map(|template| template.render(&turns.collect::<Vec<_>>())).transpose()?;
    Ok(Prompt {
        question_id: conversation.question_id,
        item: conversation.item.clone(),
        turn: conversation.turn,
        messages,
        rendered,
    })
}

fn said(message: &Message) -> Said {
    let mut said = Said { role: message.role, images: Vec::new(), text: String::new() };
    for part in &message.parts {
        match part {
            Part::Text(text) => said.text.push_str(text),
            Part::Image(image) => said.images.push(image.name.clone()),
        }
    }
    said
}

/// Tokens of a prompt by a rule of thumb. The model's own earlier answers are not known yet: they count in full.
fn prompt_tokens(conversation: &Conversation, is_own_history: bool, answer_tokens: u64) -> u64 {
    /// What the roles and separators of a message take.
    const MESSAGE: u64 = 4;
    let of_message = |message: &Message| {
        if is_own_history && message.role == Role::Assistant {
            return answer_tokens;
        }
        let of_part = |part: &Part| match part {
            Part::Text(text) => (text.chars().count() as u64).div_ceil(4),
            Part::Image(image) => picture_tokens(&image.bytes),
        };
        message.parts.iter().map(of_part).sum()
    };
    conversation.messages.iter().map(|message| MESSAGE + of_message(message)).sum()
}

/// Tokens of a picture in "high detail", as OpenAI documents it: fitted into 2,048 pixels square, then its shorter side
/// brought down to 768; 85 tokens, and 170 for each tile of 512 pixels square. Of the picture's header alone; one that
/// cannot be read counts as the largest.
fn picture_tokens(bytes: &[u8]) -> u64 {
    let dimensions = image::ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .ok()
        .and_then(|reader| reader.into_dimensions().ok())
        .unwrap_or((2048, 2048));
    let (width, height) = (f64::from(dimensions.0), f64::from(dimensions.1));
    let fit = (2048.0 / width.max(height)).min(1.0);
    let fit = fit * (768.0 / (width.min(height) * fit)).min(1.0);
    let tiles = |side: f64| (side * fit / 512.0).ceil().max(1.0) as u64;
    85 + 170 * tiles(width) * tiles(height)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image::RgbImage::new(width, height).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn pictures_are_counted_as_the_documentation_counts_its_examples() {
        assert_eq!(picture_tokens(&png(1024, 1024)), 765);
        assert_eq!(picture_tokens(&png(2048, 4096)), 1105);
        assert_eq!(picture_tokens(&png(10, 10)), 255);
        assert_eq!(picture_tokens(b"no picture"), 765);
    }
}
