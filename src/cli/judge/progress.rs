//! The progress line of judging, and the notes about its failures.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Console;
use crate::judge::{Event, Outlook};

/// Shows the events of a course.
pub struct Progress {
    console: Console,
    bar: ProgressBar,
    limit: Option<f64>,
    unread: usize,
}

impl Progress {
    pub fn new(mut console: Console, limit: Option<f64>) -> Self {
        let bar = if console.shows_progress() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} judged  {msg}  {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        console.set_bar(bar.clone());
        Self { console, bar, limit, unread: 0 }
    }

    pub fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Begun(ahead) => {
                self.console.note(&outlook(ahead));
                if let (Some(limit), Some(cost)) = (self.limit, ahead.cost)
                    && cost > limit
                {
                    self.console.warn(&format!("the limit of {limit} may be reached before the end"));
                }
                self.bar.set_length(ahead.asks as u64);
                self.bar.set_position(ahead.known as u64);
                self.bar.enable_steady_tick(Duration::from_millis(250));
            }
            Event::Judged { row, cost } => {
                if row.is_read() || row.attempt > 0 {
                    self.bar.inc(1);
                }
                self.unread += usize::from(!row.is_read() && row.attempt > 0);
                let mut parts = Vec::new();
                parts.extend(cost.map(|cost| match self.limit {
                    Some(limit) => format!("{} of {} spent", money(cost), money(limit)),
                    None => format!("{} spent", money(cost)),
                }));
                if self.unread > 0 {
                    parts.push(format!("{} unreadable", self.unread));
                }
                self.bar.set_message(parts.join("  "));
            }
            Event::Failed(failure) => {
                self.bar.inc(1);
                let (id, model) = (failure.question_id, &failure.model_id);
                self.console.note(&format!("question {id} of {model} was not judged: {}", failure.message));
            }
            Event::PicturesWithheld => {
                self.console
                    .warn("the server takes no pictures: the judge goes on without them, and every rating says so");
            }
            Event::Finishing { in_flight } => {
                self.console.note(&format!("stopping: waiting for {in_flight} in flight; Ctrl-C once more drops them"))
            }
            Event::GivenUp { message } => self.console.warn(&format!("nothing more is asked: {message}")),
        }
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// "126 asks, 40 known; at most 52,000 tokens of prompts and 44,032 of replies; at most 0.083"
pub fn outlook(ahead: &Outlook) -> String {
    let Outlook { asks, known, tokens, cost } = ahead;
    let mut parts = vec![format!("{asks} asks, {known} of them answered before")];
    if asks > known {
        parts.push(format!("about {} tokens of prompts and at most {} of replies", tokens.prompt, tokens.completion));
        parts.extend(cost.map(|cost| format!("at most {} to pay", money(cost))));
    }
    parts.join("; ")
}

/// An amount of money of an unknown currency, with as many figures as matter.
pub fn money(amount: f64) -> String {
    if amount >= 10.0 { format!("{amount:.2}") } else { format!("{amount:.4}") }
}
