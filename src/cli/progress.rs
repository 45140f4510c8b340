//! The progress line of a run, on stderr and only where stderr is a terminal, and the notes about its failures.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Console;
use crate::record::FailureRowKind;
use crate::runner::Event;

/// Shows the events of a run.
pub struct Progress {
    console: Console,
    bar: ProgressBar,
    began: Instant,
    answers: u64,
    tokens: u64,
}

impl Progress {
    pub fn new(mut console: Console) -> Self {
        let bar = if console.shows_progress() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} answers  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        console.set_bar(bar.clone());
        Self { console, bar, began: Instant::now(), answers: 0, tokens: 0 }
    }

    pub fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Begun { questions, answered } => {
                self.began = Instant::now();
                self.bar.set_length(*questions as u64);
                self.bar.set_position(*answered as u64);
                self.bar.enable_steady_tick(Duration::from_millis(250));
            }
            Event::Answered(row) => {
                self.answers += 1;
                self.tokens += row.completion_tokens.unwrap_or(0);
                self.bar.inc(1);
                let left = self.bar.length().unwrap_or(0).saturating_sub(self.bar.position());
                self.bar.set_message(rates(self.answers, self.tokens, left, self.began.elapsed()));
            }
            Event::Failed(row) => {
                self.bar.inc(1);
                if row.kind != FailureRowKind::Blocked {
                    let kind = kind_in_words(row.kind);
                    self.console.note(&format!("question {} failed ({kind}): {}", row.question_id, row.message));
                }
            }
            Event::Finishing { in_flight } => self.console.note(&format!(
                "stopping: waiting for {in_flight} {} in flight; Ctrl-C once more drops them",
                if *in_flight == 1 { "question" } else { "questions" }
            )),
            Event::Dropped { questions } => {
                let ids: Vec<String> = questions.iter().map(u64::to_string).collect();
                self.console.note(&format!("dropped: what was in flight (questions {})", ids.join(", ")));
            }
            Event::GivenUp { message } => self.console.warn(&format!("nothing more is asked: {message}")),
        }
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn kind_in_words(kind: FailureRowKind) -> &'static str {
    match kind {
        FailureRowKind::Input => "it cannot be asked",
        FailureRowKind::Transient => "asking again may help",
        FailureRowKind::Fatal => "no question can be asked",
        FailureRowKind::Blocked => "an earlier turn failed",
    }
}

/// "3.1 answers/s  40 tokens/s  2 min left", of this call alone: what earlier calls answered says nothing of the speed.
fn rates(answers: u64, tokens: u64, left: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-3);
    let per_second = answers as f64 / seconds;
    let mut parts = vec![format!("{} answers/s", figure(per_second))];
    if tokens > 0 {
        parts.push(format!("{} tokens/s", figure(tokens as f64 / seconds)));
    }
    parts.push(format!("{} left", duration(left as f64 / per_second)));
    parts.join("  ")
}

/// A rate with two or three figures.
pub fn figure(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Seconds in words, rounded to what a person wants to know.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rates_are_those_of_this_call() {
        let text = rates(30, 600, 90, Duration::from_secs(10));
        assert_eq!(text, "3.00 answers/s  60.0 tokens/s  30 s left");
        assert_eq!(rates(1, 0, 0, Duration::from_secs(2)), "0.50 answers/s  0 s left");
    }

    #[test]
    fn durations_are_said_in_the_units_that_fit() {
        let said = [0.2, 59.0, 61.0, 3600.0, 7_384.0].map(duration);
        assert_eq!(said, ["1 s", "59 s", "1 min 01 s", "1 h 00 min", "2 h 03 min"]);
    }
}
