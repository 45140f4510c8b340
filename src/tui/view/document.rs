//! The text of a card as one scroll: the conversation so far, the question, the answer.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::grading::Card;
use crate::tui::state::Measured;
use crate::tui::theme::Theme;
use crate::tui::wrap::wrap;

/// The lines of a card's text.
pub struct Document {
    lines: Vec<(Part, String)>,
    /// The first line that must be seen at first: that of the question, or of the answer where it stands alone.
    start: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Heading,
    Earlier,
    Question,
    Answer,
    /// In place of an answer that is empty.
    Nothing,
}

impl Document {
    /// Conversation so far, question and answer, `width` cells wide.
    pub fn whole(card: &Card, width: u16) -> Self {
        let mut document = Self::earlier(card, width);
        document.heading("Question");
        document.push(Part::Question, wrap(&card.question, width));
        document.push(Part::Question, vec![String::new()]);
        document.heading("Answer");
        document.answer(card, width);
        document
    }

    /// Without the question, for where it stands above.
    pub fn without_question(card: &Card, width: u16) -> Self {
        let mut document = Self::earlier(card, width);
        if !card.before.is_empty() {
            document.heading("Answer");
        }
        document.answer(card, width);
        document
    }

    fn earlier(card: &Card, width: u16) -> Self {
        let mut document = Self { lines: Vec::new(), start: 0 };
        if card.before.is_empty() {
            return document;
        }
        document.heading("Earlier in this conversation");
        for exchange in &card.before {
            for (mark, text) in [("Q ", &exchange.question), ("A ", &exchange.answer)] {
                let wrapped = wrap(text, width.saturating_sub(2)).into_iter().enumerate();
                let lines = wrapped.map(|(line, text)| format!("{}{text}", if line == 0 { mark } else { "  " }));
                document.push(Part::Earlier, lines.collect());
            }
        }
        document.push(Part::Earlier, vec![String::new()]);
        document.start = document.lines.len();
        document
    }

    fn heading(&mut self, text: &str) {
        self.lines.push((Part::Heading, text.to_owned()));
    }

    fn push(&mut self, part: Part, lines: Vec<String>) {
        self.lines.extend(lines.into_iter().map(|line| (part, line)));
    }

    fn answer(&mut self, card: &Card, width: u16) {
        let is_empty = card.answer.trim().is_empty();
        let text = if is_empty { "(the answer is empty)" } else { card.answer.trim_end() };
        self.push(if is_empty { Part::Nothing } else { Part::Answer }, wrap(text, width));
    }

    /// The first line that is shown: where the grader scrolled to, else as much as fits of what came before without
    /// hiding the end of the answer, and never so little that the question is not seen.
    fn first(&self, scroll: Option<usize>, page: usize) -> usize {
        let last = self.lines.len().saturating_sub(page);
        scroll.unwrap_or(last.min(self.start)).min(last)
    }

    /// Draws what fits, and beside it a bar where not all does. Lines have two cells less than the area.
    pub fn draw(&self, scroll: Option<usize>, area: Rect, theme: Theme, buffer: &mut Buffer) -> Measured {
        let page = usize::from(area.height);
        let first = self.first(scroll, page);
        let shown = self.lines.iter().skip(first).zip(area.top()..area.bottom());
        for ((part, line), y) in shown {
            let style = match part {
                Part::Heading => theme.heading(),
                Part::Earlier | Part::Nothing => theme.dim(),
                Part::Question => theme.strong(),
                Part::Answer => theme.plain(),
            };
            buffer.set_stringn(area.x, y, line, usize::from(area.width), style);
        }
        let lines = self.lines.len();
        if lines > page && area.width > 0 {
            bar(first, page, lines, Rect { x: area.right() - 1, width: 1, ..area }, theme, buffer);
        }
        Measured { lines, page, first, ..Measured::default() }
    }
}

/// A bar that says which part of a text is seen.
pub fn bar(first: usize, page: usize, lines: usize, area: Rect, theme: Theme, buffer: &mut Buffer) {
    let thumb = (page * page / lines.max(1)).clamp(1, page.max(1));
    let free = lines.saturating_sub(page).max(1);
    let top = (first * (page - thumb) + free / 2) / free;
    for (row, y) in (area.top()..area.bottom()).enumerate() {
        let is_thumb = (top..top + thumb).contains(&row);
        let (symbol, style) = if is_thumb { ("█", theme.plain()) } else { ("│", theme.dim()) };
        buffer.set_string(area.x, y, symbol, style);
    }
}

/// Wraps a text into an area; gives the number of rows it took.
pub fn lines(text: &str, area: Rect, style: Style, buffer: &mut Buffer) -> u16 {
    let wrapped = wrap(text, area.width);
    let mut rows = 0;
    for (line, y) in wrapped.iter().zip(area.top()..area.bottom()) {
        buffer.set_stringn(area.x, y, line, usize::from(area.width), style);
        rows += 1;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grading::Exchange;

    fn card(before: usize, answer_lines: usize) -> Card {
        let exchange = Exchange { question: "Before?".to_owned(), answer: "Yes.".to_owned() };
        let answer = (1..=answer_lines).map(|line| format!("line {line}\n")).collect();
        Card { before: vec![exchange; before], question: "Now?".to_owned(), answer, ..Card::default() }
    }

    #[test]
    fn a_text_that_fits_is_shown_from_its_beginning() {
        assert_eq!(Document::whole(&card(2, 3), 40).first(None, 20), 0);
    }

    #[test]
    fn of_a_text_that_does_not_fit_the_end_of_the_answer_is_shown_where_the_question_is_too() {
        // Heading, two exchanges, an empty line: six lines; question and answer: four, and those of the answer.
        let document = Document::whole(&card(2, 3), 40);
        assert_eq!(document.lines.len(), 13);
        assert_eq!(document.first(None, 10), 3);
        assert_eq!(document.first(None, 5), 6);
        assert_eq!(document.first(Some(100), 5), 8);
    }

    #[test]
    fn an_empty_answer_is_said_to_be_empty() {
        let document = Document::without_question(&card(0, 0), 40);
        assert_eq!(document.lines.last().map(|(_, line)| line.as_str()), Some("(the answer is empty)"));
    }
}
