//! `owleval chat`: a conversation with a model about pictures, line by line.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::endpoint::EndpointArgs;
use super::run_options::{DecodingOptions, ModelOptions};
use super::{Console, backend};
use crate::backend::{Backend, Decoding, FinishReason};
use crate::error::{Error, IoContext as _, Result};
use crate::evalset::{Conversation, ImageBytes, ImageRoot, Message, Part, Role};

const COMMANDS: &str = "\
Every line is a question; the conversation so far goes with it.
  /image FILE   show a picture with the next question (several are possible)
  /new          begin a new conversation
  /help         this list
  /quit         leave (or Ctrl-D)";

/// Talk to a model about pictures, several turns
///
/// Questions are read from standard input, a line each, so a file of them works too. Nothing is kept.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = COMMANDS)]
pub struct ChatArguments {
    /// A picture to begin with; may be given several times
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    endpoint: EndpointArgs,
    #[command(flatten)]
    decoding: DecodingOptions,
}

/// What `--json` prints for each answer.
#[derive(Serialize)]
struct Answered<'a> {
    question: &'a str,
    answer: &'a str,
    finish_reason: FinishReason,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    seconds: f64,
}

/// A line of the user's.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Nothing,
    Question(&'a str),
    Image(&'a Path),
    New,
    Help,
    Quit,
    Unknown(&'a str),
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Self {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (word, rest.trim()) {
            ("", _) => Self::Nothing,
            ("/image", "") => Self::Unknown(line),
            ("/image", file) => Self::Image(Path::new(file)),
            ("/new", "") => Self::New,
            ("/help", "") => Self::Help,
            ("/quit", "") => Self::Quit,
            (word, _) if word.starts_with('/') => Self::Unknown(word),
            _ => Self::Question(line),
        }
    }
}

/// The conversation so far.
#[derive(Debug, Default)]
struct Talk {
    /// Conversations before this one: a model keeps the past of each apart.
    number: u64,
    messages: Vec<Message>,
    /// Shown with the next question.
    pictures: Vec<ImageBytes>,
}

impl Talk {
    /// What the model is asked next.
    fn ask(&self, question: &str) -> Conversation {
        let mut messages = self.messages.clone();
        let mut parts: Vec<Part> = self.pictures.iter().cloned().map(Part::Image).collect();
        parts.push(Part::Text(question.to_owned()));
        messages.push(Message { role: Role::Human, parts });
        let turn = self.messages.len() / 2;
        Conversation { item: format!("chat-{}", self.number), turn, question_id: turn as u64, messages }
    }

    /// A question that was answered belongs to the past; one that failed leaves everything as it was.
    fn answered(&mut self, asked: Conversation, answer: &str) {
        self.messages = asked.messages;
        self.messages.push(Message::text(Role::Assistant, answer));
        self.pictures.clear();
    }

    fn start_anew(&mut self) {
        *self = Self { number: self.number + 1, ..Self::default() };
    }
}

/// Runs the command and gives its exit code: 1 where a question had no answer.
pub fn run(arguments: &ChatArguments, console: &Console) -> Result<u8> {
    let mut talk = Talk::default();
    for file in &arguments.image {
        talk.pictures.push(picture(file)?);
    }
    let runtime = super::runtime()?;
    let _entered = runtime.enter();
    let backend = backend::open(&arguments.model, &arguments.endpoint)?;
    let decoding = arguments.decoding.decoding();
    let is_person = std::io::stdin().is_terminal();
    if is_person {
        console.note(&format!("{} listens. /help lists what can be typed.", backend.info().id));
    }
    let mut failed = false;
    let mut line = String::new();
    loop {
        if is_person {
            prompt(&talk);
        }
        line.clear();
        if std::io::stdin().lock().read_line(&mut line).or_at("cannot read", "standard input")? == 0 {
            break;
        }
        match Line::read(&line) {
            Line::Nothing => {}
            Line::Help => console.note(COMMANDS),
            Line::New => talk.start_anew(),
            Line::Quit => break,
            Line::Unknown(word) => {
                console.warn(&format!("{word} cannot be done; /help lists what can be typed"));
                failed = true;
            }
            Line::Image(file) => match picture(file) {
                Ok(picture) => talk.pictures.push(picture),
                Err(error) => {
                    console.error(&error);
                    failed = true;
                }
            },
            Line::Question(question) => {
                if let Err(error) = runtime.block_on(answer(&mut talk, question, backend.as_ref(), &decoding, console))
                {
                    console.error(&error);
                    failed = true;
                }
            }
        }
    }
    // A person has seen what failed; a script has not.
    Ok(u8::from(failed && !is_person))
}

async fn answer(
    talk: &mut Talk,
    question: &str,
    backend: &dyn Backend,
    decoding: &Decoding,
    console: &Console,
) -> Result<()> {
    let asked = talk.ask(question);
    let began = Instant::now();
    let reply = backend.reply(&asked, decoding).await.map_err(|error| Error::failed(error.message))?;
    if console.is_json() {
        console.print_json(&Answered {
            question,
            answer: &reply.text,
            finish_reason: reply.finish,
            prompt_tokens: reply.prompt_tokens,
            completion_tokens: reply.completion_tokens,
            seconds: began.elapsed().as_secs_f64(),
        });
    } else {
        console.print(&reply.text);
    }
    talk.answered(asked, &reply.text);
    Ok(())
}

/// Where the user types, with the number of pictures that go along.
fn prompt(talk: &Talk) {
    let pictures = match talk.pictures.len() {
        0 => String::new(),
        1 => "[1 picture] ".to_owned(),
        count => format!("[{count} pictures] "),
    };
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{pictures}> ").and_then(|()| stderr.flush());
}

/// Reads a picture and looks at its header.
fn picture(file: &Path) -> Result<ImageBytes> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Err(Error::input("is no picture").at(file));
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    ImageRoot::Folder(folder.to_owned()).read(name).map_err(|error| {
        Error::input("cannot be shown").at(file).source(error).remedy("give a PNG, JPEG, GIF, WebP or BMP file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_questions_but_for_the_words_that_begin_with_a_slash() {
        for (line, expected) in [
            ("  what is this? \n", Line::Question("what is this?")),
            ("/image a picture.png\n", Line::Image(Path::new("a picture.png"))),
            ("/image", Line::Unknown("/image")),
            ("/new", Line::New),
            ("/quit", Line::Quit),
            ("/quit now", Line::Unknown("/quit")),
            ("/delete", Line::Unknown("/delete")),
            (" \n", Line::Nothing),
        ] {
            assert_eq!(Line::read(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_failed_question_is_no_past_and_its_pictures_wait_for_the_next() {
        let mut talk = Talk::default();
        let picture =
            ImageBytes { name: "a.png".into(), bytes: std::sync::Arc::from([1u8].as_slice()), sha256: String::new() };
        talk.pictures.push(picture);
        let failed = talk.ask("one?");
        assert_eq!((failed.turn, failed.images().count()), (0, 1));
        let asked = talk.ask("two?");
        talk.answered(asked, "yes");
        let next = talk.ask("three?");
        assert_eq!((next.turn, next.messages.len(), next.images().count()), (1, 3, 1));
        talk.start_anew();
        let fresh = talk.ask("four?");
        assert_ne!(fresh.item, next.item);
        assert_eq!((fresh.turn, fresh.images().count()), (0, 0));
    }
}
