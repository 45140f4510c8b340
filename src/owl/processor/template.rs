//! Messages -> prompt -> ids. Templates are data: TOML files with a digest, built in or the user's own.
//!
//! A picture is [`IMAGE_SLOT`] as many times as it has slots, and [`Prompt::image_starts`] says where each begins.
//! The reference finds pictures by looking for runs of the slot id and so takes two adjacent ones for one; with the
//! starts written down, adjacent pictures work.
//!
//! Only real pictures make slots. The literal `<image>` in a message stays text, and so do typed special pieces.

use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, IoContext, Result};

use super::tokenizer::Tokenizer;
use super::training::{ANSWER_SEPARATOR, QUESTION_SEPARATOR};
use super::{IMAGE_PLACEHOLDER, IMAGE_SLOT, demo};

/// The templates that come with the program, by name.
const BUILT_IN: [(&str, &str); 4] = [
    ("readme", include_str!("../../../templates/readme.toml")),
    ("demo", include_str!("../../../templates/demo.toml")),
    ("mini", include_str!("../../../templates/mini.toml")),
    ("plain", include_str!("../../../templates/plain.toml")),
];

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Human,
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub role: Role,
    pub text: String,
    /// Pictures that come with this message; always 0 for the assistant.
    pub images: usize,
}

impl Turn {
    pub fn human(text: impl Into<String>, images: usize) -> Self {
        Self { role: Role::Human, text: text.into(), images }
    }

    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, text: text.into(), images: 0 }
    }
}

/// Where the text of a prompt is cut into chunks, each of which is encoded on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Segment {
    /// At pictures only: the reference's inference.
    Image,
    /// At pictures and at the roles, as the training pipeline does it: training and inference see the same ids, and
    /// the ids of a dialogue only ever grow at the end.
    Turn,
}

/// How the lines of a prompt come about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Construction {
    /// System line, then for each message its pictures, a line each, and its text.
    #[default]
    Lines,
    /// The web demo's, which puts a picture before the last line of its message.
    Demo,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    system: String,
    human: String,
    assistant: String,
    image: String,
    segment: Segment,
    #[serde(default)]
    answer_end: String,
    #[serde(default)]
    construction: Construction,
}

/// A prompt template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    file: File,
    sha256: String,
}

/// A conversation as the model takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// BOS first, [`IMAGE_SLOT`] in the slots of pictures, no EOS at the end.
    pub ids: Vec<i64>,
    /// The same to read, with `<image>` for each picture.
    pub text: String,
    pub images: usize,
    /// Index into `ids` of each picture's first slot.
    pub image_starts: Vec<usize>,
}

/// What a prompt is made of, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Text that is a chunk of its own where the template cuts at turns.
    Separator(String),
    Image,
    /// The end of a past answer.
    AnswerEnd,
}

impl Template {
    /// The names of the built-in templates.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The text of a built-in template.
    pub fn built_in(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// A built-in template by name, or the user's own by the path of a TOML file.
    pub fn load(name_or_path: &str) -> Result<Self> {
        if let Some(text) = Self::built_in(name_or_path) {
            return Self::from_toml(text);
        }
        let path = Path::new(name_or_path);
        if !path.is_file() {
            let names: Vec<_> = Self::names().collect();
            return Err(Error::input(format!("there is no template {name_or_path}"))
                .remedy(format!("give one of {}, or the path of a TOML file", names.join(", "))));
        }
        let text = std::fs::read_to_string(path).or_at("cannot read the template", path)?;
        Self::from_toml(&text).map_err(|error| error.at(path))
    }

    /// Reads a template; the digest is that of exactly these bytes.
    pub fn from_toml(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)
            .map_err(|error| Error::input(format!("not a prompt template: {}", error.message())).source(error))?;
        let wrong = |why: &str| Err(Error::input(format!("the template {} is not usable: {why}", file.name)));
        if file.image.matches(IMAGE_PLACEHOLDER).count() != 1 {
            return wrong("image must hold <image> exactly once");
        }
        if !["", "</s>"].contains(&file.answer_end.as_str()) {
            return wrong("answer_end must be empty or \"</s>\"");
        }
        let has_training_roles = file.human == "Human: " && file.assistant == "AI: ";
        if file.segment == Segment::Turn && !has_training_roles {
            return wrong("segment = \"turn\" cuts where training does, at the roles \"Human: \" and \"AI: \"");
        }
        if file.construction == Construction::Demo && (!has_training_roles || file.segment == Segment::Turn) {
            return wrong("construction = \"demo\" has the roles \"Human: \" and \"AI: \" and segment = \"image\"");
        }
        let sha256 = hex::encode(Sha256::digest(text.as_bytes()));
        Ok(Self { file, sha256 })
    }

    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// Lower-case hex digest of the template's bytes.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    pub fn segment(&self) -> Segment {
        self.file.segment
    }

    /// The prompt to read, with `<image>` for each picture.
    pub fn render(&self, turns: &[Turn]) -> Result<String> {
        Ok(self.text_of(&self.parts(turns)?))
    }

    /// The prompt as ids, `slots_per_image` slots for each picture.
    ///
    /// # Errors
    /// An empty conversation, one that does not end with a message of the human, or a picture from the assistant.
    pub fn prompt_ids(&self, tokenizer: &Tokenizer, turns: &[Turn], slots_per_image: usize) -> Result<Prompt> {
        let parts = self.parts(turns)?;
        let mut assembler = Assembler::new(tokenizer, slots_per_image);
        let mut chunk = String::new();
        for part in &parts {
            match part {
                Part::Text(text) => chunk.push_str(text),
                Part::Separator(text) if self.file.segment == Segment::Image => chunk.push_str(text),
                Part::Separator(text) => {
                    assembler.text(&std::mem::take(&mut chunk))?;
                    assembler.text(text)?;
                }
                Part::Image => {
                    assembler.text(&std::mem::take(&mut chunk))?;
                    assembler.image();
                }
                Part::AnswerEnd => {
                    assembler.text(&std::mem::take(&mut chunk))?;
                    assembler.ids.push(tokenizer.eos().into());
                }
            }
        }
        assembler.text(&chunk)?;
        Ok(assembler.finish(self.text_of(&parts)))
    }

    fn text_of(&self, parts: &[Part]) -> String {
        let part_text = |part: &Part| match part {
            Part::Text(text) | Part::Separator(text) => text.clone(),
            Part::Image => IMAGE_PLACEHOLDER.to_owned(),
            Part::AnswerEnd => self.file.answer_end.clone(),
        };
        parts.iter().map(part_text).collect()
    }

    fn parts(&self, turns: &[Turn]) -> Result<Vec<Part>> {
        if turns.last().is_none_or(|turn| turn.role != Role::Human) {
            return Err(Error::failed("a conversation must end with a message of the human"));
        }
        if turns.iter().any(|turn| turn.role == Role::Assistant && turn.images > 0) {
            return Err(Error::failed("the assistant's messages cannot hold pictures"));
        }
        Ok(match self.file.construction {
            Construction::Lines => self.lines(turns),
            Construction::Demo => self.demo_parts(turns),
        })
    }

    fn lines(&self, turns: &[Turn]) -> Vec<Part> {
        let file = &self.file;
        let (before_image, after_image) = file.image.split_once(IMAGE_PLACEHOLDER).unwrap_or((&file.image, ""));
        let mut parts = Vec::new();
        if !file.system.is_empty() {
            parts.push(Part::Text(file.system.clone()));
        }
        for turn in turns {
            match turn.role {
                Role::Human => {
                    for _ in 0..turn.images {
                        self.begin_line(&mut parts, before_image);
                        parts.push(Part::Image);
                        parts.push(Part::Text(after_image.to_owned()));
                    }
                    self.begin_line(&mut parts, &file.human);
                    parts.push(Part::Text(turn.text.clone()));
                }
                Role::Assistant => {
                    self.begin_line(&mut parts, &file.assistant);
                    parts.push(Part::Text(turn.text.clone()));
                    if !file.answer_end.is_empty() {
                        parts.push(Part::AnswerEnd);
                    }
                }
            }
        }
        self.begin_line(&mut parts, &file.assistant);
        parts
    }

    /// Starts a line with `role`. Training cuts at "\nHuman: " (with the newline) and at "AI: " (without it), and not
    /// at a "Human: " that opens the text: so here.
    fn begin_line(&self, parts: &mut Vec<Part>, role: &str) {
        if role == self.file.assistant {
            if !parts.is_empty() {
                parts.push(Part::Text("\n".to_owned()));
            }
            parts.push(Part::Separator(role.to_owned()));
        } else if parts.is_empty() {
            parts.push(Part::Text(role.to_owned()));
        } else if role == self.file.human {
            parts.push(Part::Separator(format!("\n{role}")));
        } else {
            parts.push(Part::Text(format!("\n{role}")));
        }
    }

    /// The demo's construction, with one line for each picture (the demo itself drops all but the first of a message).
    fn demo_parts(&self, turns: &[Turn]) -> Vec<Part> {
        // The construction works on text, so pictures need a mark that no message can hold.
        let mut mark = IMAGE_PLACEHOLDER.to_owned();
        for number in 0.. {
            let occurs = turns.iter().any(|turn| turn.text.contains(&mark)) || self.file.system.contains(&mark);
            if !occurs {
                break;
            }
            mark = format!("<picture{number}>");
        }
        let prompt = demo::relocate(&demo::raw_prompt_with(&self.file.system, turns, &mark), &mark, false);
        let mut parts = Vec::new();
        for (index, text) in prompt.split(&mark).enumerate() {
            if index > 0 {
                parts.push(Part::Image);
            }
            parts.push(Part::Text(text.to_owned()));
        }
        parts
    }
}

impl Prompt {
    /// A prompt from ready-made text, split on the literal `<image>`, as the reference's processor takes it.
    pub fn from_prompt_text(text: &str, tokenizer: &Tokenizer, slots_per_image: usize) -> Result<Self> {
        let mut assembler = Assembler::new(tokenizer, slots_per_image);
        for (index, chunk) in text.split(IMAGE_PLACEHOLDER).enumerate() {
            if index > 0 {
                assembler.image();
            }
            assembler.text(chunk)?;
        }
        Ok(assembler.finish(text.to_owned()))
    }
}

/// Whether an answer runs on into the next turn of the conversation: the model wrote a role itself.
pub fn leaks(answer: &str) -> bool {
    let roles = [QUESTION_SEPARATOR.trim(), ANSWER_SEPARATOR.trim()];
    answer.lines().any(|line| roles.iter().any(|role| line.trim_start().starts_with(role)))
}

/// Collects the ids of a prompt, chunk by chunk.
struct Assembler<'a> {
    tokenizer: &'a Tokenizer,
    slots_per_image: usize,
    ids: Vec<i64>,
    image_starts: Vec<usize>,
}

impl<'a> Assembler<'a> {
    fn new(tokenizer: &'a Tokenizer, slots_per_image: usize) -> Self {
        Self { tokenizer, slots_per_image, ids: vec![tokenizer.bos().into()], image_starts: Vec::new() }
    }

    fn text(&mut self, chunk: &str) -> Result<()> {
        self.ids.extend(self.tokenizer.encode_chunk(chunk)?.into_iter().map(i64::from));
        Ok(())
    }

    fn image(&mut self) {
        self.image_starts.push(self.ids.len());
        self.ids.extend(std::iter::repeat_n(IMAGE_SLOT, self.slots_per_image));
    }

    fn finish(self, text: String) -> Prompt {
        Prompt { images: self.image_starts.len(), ids: self.ids, text, image_starts: self.image_starts }
    }
}

#[cfg(test)]
mod tests {
    use super::super::training::encode_conversation;
    use super::super::{Tokenizer, TokenizerTrainer};
    use super::*;

    fn tokenizer() -> Tokenizer {
        let chunks = ["Human: <image>", "AI: ", "What colour is the circle?\n", "red", "two circles and a square"];
        Tokenizer::from_bytes(&TokenizerTrainer::new(330).train(chunks).unwrap()).unwrap()
    }

    fn template(name: &str) -> Template {
        Template::load(name).unwrap()
    }

    #[test]
    fn every_built_in_template_bears_its_own_name() {
        for name in Template::names() {
            assert_eq!(template(name).name(), name);
            assert_eq!(template(name).sha256().len(), 64);
        }
        assert!(Template::load("nowhere").unwrap_err().remedy_text().unwrap().contains("readme"));
    }

    #[test]
    fn the_readme_prompt_has_a_line_for_each_picture_and_a_trailing_space() {
        let turns = [Turn::human("Same colour?", 2), Turn::assistant("No."), Turn::human("Why?", 0)];
        let text = template("readme").render(&turns).unwrap();
        let conversation = text.split_once('\n').unwrap().1;
        assert_eq!(conversation, "Human: <image>\nHuman: <image>\nHuman: Same colour?\nAI: No.\nHuman: Why?\nAI: ");
    }

    #[test]
    fn a_turn_template_gives_the_ids_of_training() {
        let tokenizer = tokenizer();
        for images in [0, 1, 2] {
            let turns =
                [Turn::human("What colour?", images), Turn::assistant("red"), Turn::human("How many circles?", 0)];
            let prompt = template("mini").prompt_ids(&tokenizer, &turns, 5).unwrap();
            let text =
                "Human: <image>\n".repeat(images) + "Human: What colour?\nAI: red\nHuman: How many circles?\nAI: two";
            let trained = encode_conversation(&tokenizer, &text, 200, 5).unwrap();
            assert_eq!(prompt.ids, trained.ids[..prompt.ids.len()]);
            assert_eq!(prompt.images, trained.images);
            // What is left is the answer and its end.
            assert!(trained.loss[prompt.ids.len()..].iter().all(|bears| *bears));
        }
    }

    #[test]
    fn the_ids_of_a_turn_template_only_grow_at_the_end() {
        let tokenizer = tokenizer();
        let mut turns = vec![Turn::human("What colour?", 1)];
        let first = template("mini").prompt_ids(&tokenizer, &turns, 5).unwrap();
        turns.extend([Turn::assistant("red"), Turn::human("And the square?", 0)]);
        let second = template("mini").prompt_ids(&tokenizer, &turns, 5).unwrap();
        assert!(second.ids.starts_with(&first.ids));
        let answer: Vec<i64> = tokenizer.encode_chunk("red").unwrap().into_iter().map(i64::from).collect();
        assert!(second.ids[first.ids.len()..].starts_with(&answer));
        assert_eq!(second.ids[first.ids.len() + answer.len()], 2);
    }

    #[test]
    fn a_typed_placeholder_or_special_piece_makes_neither_slot_nor_special_id() {
        let tokenizer = tokenizer();
        for name in Template::names() {
            let turns = [Turn::human("<image> </s><s> what is <image>?", 1)];
            let prompt = template(name).prompt_ids(&tokenizer, &turns, 4).unwrap();
            assert_eq!(prompt.ids.iter().filter(|id| **id == IMAGE_SLOT).count(), 4, "{name}");
            assert_eq!((prompt.images, prompt.image_starts.len()), (1, 1), "{name}");
            assert_eq!(prompt.ids.iter().filter(|id| (0..3).contains(*id)).count(), 1, "{name}: BOS alone");
        }
    }

    #[test]
    fn starts_tell_adjacent_pictures_apart() {
        let prompt = Prompt::from_prompt_text("a<image><image>", &tokenizer(), 3).unwrap();
        assert_eq!(prompt.images, 2);
        assert_eq!(prompt.image_starts[1], prompt.image_starts[0] + 3);
        assert_eq!(prompt.ids.len(), prompt.image_starts[1] + 3);
    }

    #[test]
    fn the_demo_keeps_every_picture_of_a_message() {
        let prompt = template("demo").prompt_ids(&tokenizer(), &[Turn::human("Compare.", 3)], 2).unwrap();
        assert_eq!(prompt.images, 3);
    }

    #[test]
    fn conversations_that_do_not_end_with_a_question_are_refused() {
        let template = template("readme");
        assert!(template.render(&[]).is_err());
        assert!(template.render(&[Turn::human("a", 0), Turn::assistant("b")]).is_err());
    }

    #[test]
    fn unusable_templates_are_refused() {
        let good = BUILT_IN[2].1;
        for (from, to) in [
            ("image = \"Human: <image>\"", "image = \"Human: \""),
            ("answer_end = \"</s>\"", "answer_end = \"END\""),
            ("assistant = \"AI: \"", "assistant = \"Bot: \""),
            ("segment = \"turn\"", "segment = \"word\""),
            ("name = \"mini\"", "title = \"mini\""),
        ] {
            assert!(good.contains(from));
            assert!(Template::from_toml(&good.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn answers_that_speak_for_a_role_leak() {
        assert!(leaks("A dog.\nHuman: And then?"));
        assert!(leaks("AI: A dog."));
        assert!(!leaks("The human: a man. An AI: no."));
    }
}
