//! The rows above and below the answers: sheet, card, rubric, message, keys.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr as _;

use super::{Drawn, Scene, picture_columns};
use crate::grading::{Grade, Progress};
use crate::tui::effects::in_words;
use crate::tui::state::{Filter, Layout, Measured, MessageKind, Mode, Prompt};
use crate::tui::wrap::{fit, wrap};

/// The sheet: its title, how far it is graded, the pace and the time left.
pub fn header(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let theme = scene.theme;
    let progress = scene.session.progress();
    let bar_width = match area.width {
        0..60 => 0,
        60..110 => 12,
        _ => 24,
    };
    let share = if progress.total == 0 { 0.0 } else { progress.graded as f64 / progress.total as f64 };
    // The first grade is seen, and the last cell is kept for the last grade.
    let filled = (share * f64::from(bar_width)).floor().max(f64::from(u8::from(progress.graded > 0))) as u16;
    let count = format!("{}/{} ", progress.graded, progress.total);
    // No half of a per cent is rounded up to a whole that is not there.
    let rest = format!(" {:3.0} %{} ", (share * 100.0).floor(), pace(&progress, area.width));
    let right = width(&count) + bar_width + width(&rest);
    let x = area.right().saturating_sub(right).max(area.x);
    let mut left = area.x + 1;
    if scene.state.is_practice {
        let chip = " PRACTICE ";
        buffer.set_stringn(left, area.y, chip, usize::from(x.saturating_sub(left)), theme.chip());
        left += width(chip) + 1;
    }
    let title = fit(&scene.session.deck().title, x.saturating_sub(left + 1));
    buffer.set_string(left, area.y, title, theme.strong());
    let (x, _) = buffer.set_stringn(x, area.y, &count, usize::from(area.right() - x), theme.plain());
    for column in 0..bar_width {
        let (symbol, style) = if column < filled { ("━", theme.focus()) } else { ("·", theme.dim()) };
        buffer.set_string(x + column, area.y, symbol, style);
    }
    let room = usize::from(area.right().saturating_sub(x + bar_width));
    buffer.set_stringn(x + bar_width, area.y, &rest, room, theme.plain());
}

/// "  11 s each  1 h 27 min left", once there is something to go by and where there is room.
fn pace(progress: &Progress, columns: u16) -> String {
    let done = progress.graded + progress.skipped;
    let left = progress.total.saturating_sub(done);
    if done < 3 || progress.seconds <= 0.0 || left == 0 || columns < 70 {
        return String::new();
    }
    let each = progress.seconds / done as f64;
    let unit = if columns < 90 { "" } else { " each" };
    format!("  {}{unit}  {} left", duration(each), duration(each * left as f64))
}

/// Seconds in the words that fit: "9 s", "41 min", "3 h 20 min".
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..90 => format!("{} s", seconds.max(1)),
        90..3600 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A window of fewer columns has no room for whole sentences on a rule.
const NARROW: u16 = 60;

/// The card: which it is, and what is recorded of it.
pub fn card_line(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let theme = scene.theme;
    rule(scene, area, buffer);
    let state = scene.state;
    let mut left = vec![(format!("{} of {}", state.card + 1, scene.session.deck().cards.len()), theme.strong())];
    let turn = scene.card().before.len() + 1;
    if turn > 1 {
        left.push((format!("turn {turn}"), theme.plain()));
    }
    let group = scene.group();
    if state.layout == Layout::SideBySide && group.len() > 1 {
        left.push((format!("answer {} of {}", state.card - group.start + 1, group.len()), theme.plain()));
    }
    // A picture that is not seen is easily forgotten.
    match scene.card().images.len() {
        0 => {}
        _ if scene.gallery.is_none() => {
            let text = if area.width < NARROW { "o: picture" } else { "o opens the picture" };
            left.push((text.to_owned(), theme.plain()));
        }
        _ if picture_columns(scene, area.width).is_none() => left.push(("z: picture".to_owned(), theme.plain())),
        _ => {}
    }
    if state.filter != Filter::All {
        left.push((format!("only {}", state.filter.name()), theme.chip()));
    }
    let mark = scene.session.mark(state.card);
    let given = &scene.card().given;
    let style = mark.grade.map_or(theme.plain(), |grade| theme.given(grade));
    let mut right = vec![(in_words(mark), style)];
    if !given.is_empty() {
        let grades: Vec<String> = given.iter().map(Grade::to_string).collect();
        right.insert(0, (format!("graders gave {}", grades.join(" and ")), theme.strong()));
    }
    let taken: u16 = right.iter().map(|(label, _)| width(label) + 4).sum();
    let end = area.right().saturating_sub(taken);
    let mut x = area.x + 2;
    for (index, (label, style)) in left.iter().enumerate() {
        // Which answer it is, and what else there is room for.
        if index == 0 || x + width(label) + 2 <= end {
            x = put_label(label, *style, x, area, buffer) + 2;
        }
    }
    let mut x = end.max(x);
    for (label, style) in right {
        x = put_label(&label, style, x, area, buffer) + 2;
    }
}

/// The rule below the answers, which says whether there is more to read.
pub fn lower_rule(scene: &Scene<'_>, measured: &Measured, area: Rect, buffer: &mut Buffer) {
    rule(scene, area, buffer);
    let (first, page, lines) = if measured.open_lines > 0 {
        let first = if let Mode::Help(first) = scene.state.mode { first } else { 0 };
        (first, measured.open_page, measured.open_lines)
    } else {
        (measured.first, measured.page, measured.lines)
    };
    let below = lines.saturating_sub(first + page);
    if first > 0 && page > 0 {
        put_label(
            &format!("↑ {}", count(first, "line above", "lines above")),
            scene.theme.plain(),
            area.x + 2,
            area,
            buffer,
        );
    }
    if below > 0 && page > 0 {
        let label = format!("↓ {}: space", count(below, "more line", "more lines"));
        let x = area.right().saturating_sub(width(&label) + 4);
        put_label(&label, scene.theme.strong(), x, area, buffer);
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn rule(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    for x in area.left()..area.right() {
        buffer.set_string(x, area.y, "─", scene.theme.dim());
    }
}

/// Puts ` label ` on a rule; gives the column behind it.
fn put_label(label: &str, style: Style, x: u16, area: Rect, buffer: &mut Buffer) -> u16 {
    let room = area.right().saturating_sub(x + 2);
    let label = fit(label, room);
    if label.is_empty() {
        return x;
    }
    buffer.set_string(x, area.y, " ", Style::reset());
    buffer.set_string(x + 1, area.y, &label, Style::reset().patch(style));
    buffer.set_string(x + 1 + width(&label), area.y, " ", Style::reset());
    x + 2 + width(&label)
}

/// The widths of the columns in which the rubric is set: as few rows as its wording allows, four, two or one of them in a
/// row. Where not even two fit, a low window shows the letters alone.
pub fn rubric_columns(scene: &Scene<'_>, area: Rect) -> Vec<u16> {
    let grades = &scene.session.deck().rubric.grades;
    let widths = grades.iter().map(|(_, short, _)| width(&fit(short, u16::MAX)).saturating_add(KEY_WIDTH + GAP));
    let widths: Vec<u16> = widths.collect();
    let columns_of = |count: usize| -> Vec<u16> {
        let column = |column| widths.iter().skip(column).step_by(count).copied().max().unwrap_or(0);
        (0..count).map(column).collect()
    };
    let fitting = [4, 2].map(columns_of).into_iter().find(|columns| {
        let taken: u32 = columns.iter().copied().map(u32::from).sum();
        taken < u32::from(area.width) + u32::from(GAP)
    });
    fitting.unwrap_or_else(|| if area.height < 20 { LETTERS.to_vec() } else { vec![area.width - 1] })
}

/// `[A] ` and what stands between two columns of the rubric.
const KEY_WIDTH: u16 = 4;
const GAP: u16 = 3;

/// The columns of a rubric of letters: there is no room for a word in them.
const LETTERS: [u16; 4] = [KEY_WIDTH + 1; 4];

/// What the grades mean; the one that was given is marked.
pub fn rubric(scene: &Scene<'_>, columns: &[u16], area: Rect, buffer: &mut Buffer) {
    let theme = scene.theme;
    let given = scene.session.mark(scene.state.card).grade;
    for (index, (grade, short, _)) in scene.session.deck().rubric.grades.iter().enumerate() {
        let (row, column) = (index / columns.len(), index % columns.len());
        let x = area.x + 1 + columns[..column].iter().sum::<u16>();
        let y = area.y + row as u16;
        let is_given = given == Some(*grade);
        let (key, text_style) =
            if is_given { (theme.given(*grade), theme.strong()) } else { (theme.grade(*grade), theme.plain()) };
        let mark = if is_given { "▶" } else { " " };
        buffer.set_string(x - 1, y, mark, theme.strong());
        buffer.set_string(x, y, format!("[{grade}]"), key);
        let room = columns[column].saturating_sub(KEY_WIDTH + 1).min(area.right().saturating_sub(x + KEY_WIDTH));
        buffer.set_string(x + KEY_WIDTH, y, fit(short, room), text_style);
    }
    if columns == LETTERS {
        let x = area.x + 1 + LETTERS.iter().sum::<u16>();
        buffer.set_string(x, area.y, fit("? what they mean", area.right().saturating_sub(x)), theme.dim());
    }
}

/// What is to be said, in lines: what was done last; else the note on the card. Nothing while a line is typed.
pub fn said(scene: &Scene<'_>, columns: u16) -> Vec<String> {
    let message = &scene.state.message;
    let note = &scene.session.mark(scene.state.card).note;
    let text = match message.kind {
        _ if matches!(scene.state.mode, Mode::Prompt(..)) => return Vec::new(),
        _ if message.text.is_empty() && note.is_empty() => return Vec::new(),
        _ if message.text.is_empty() => format!("note: {note}"),
        MessageKind::Done => message.text.clone(),
        MessageKind::Hint | MessageKind::Error => format!("! {}", message.text),
    };
    wrap(&text, columns.saturating_sub(2))
}

/// Draws what is said; what does not fit is said to be cut. While a line is typed, that line.
pub fn message(scene: &Scene<'_>, said: &[String], area: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let theme = scene.theme;
    let room = area.width.saturating_sub(2);
    if let Mode::Prompt(prompt, editor) = &scene.state.mode {
        let label = match prompt {
            Prompt::Note => "note: ",
            Prompt::GoTo => "go to number: ",
            Prompt::Search => "search: ",
        };
        buffer.set_string(area.x + 1, area.y, label, theme.key());
        let (line, cursor) = editor.view(room.saturating_sub(width(label)));
        let x = area.x + 1 + width(label);
        buffer.set_string(x, area.y, line, theme.plain());
        drawn.cursor = Some(Position::new(x + cursor, area.y));
        return;
    }
    let message = &scene.state.message;
    let style = if message.text.is_empty() { theme.plain() } else { theme.message(message.kind) };
    for (line, y) in said.iter().zip(area.top()..area.bottom()) {
        let is_cut = y + 1 == area.bottom() && said.len() > usize::from(area.height);
        let line = if is_cut { fit(&format!("{line} …"), room) } else { line.clone() };
        buffer.set_string(area.x + 1, y, line, style);
    }
}

/// The keys that matter now.
pub fn hints(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let keys: &[(&str, &str)] = match &scene.state.mode {
        Mode::Prompt(..) => &[("Enter", "keep"), ("Esc", "drop"), ("Ctrl-U", "empty")],
        Mode::Picture => &[
            ("+ -", "closer, farther"),
            ("← ↑ ↓ →", "move"),
            ("p", "next picture"),
            ("o", "open in viewer"),
            ("z", "back"),
        ],
        Mode::Help(_) => &[("↑ ↓", "scroll"), ("?", "back")],
        Mode::Advice => &[("any key", "go on"), ("u", "undo"), ("q", "leave")],
        Mode::Finished => &[("←", "look back"), ("u", "undo"), ("v", "flagged, skipped"), ("q", "leave")],
        Mode::Grading => &[
            ("a b c d", "grade"),
            ("u", "undo"),
            ("s", "skip"),
            ("f", "flag"),
            ("n", "note"),
            ("?", "all keys"),
            ("q", "leave"),
            ("← →", "other answers"),
            ("z", "picture"),
            ("Tab", "side by side"),
            ("/", "search"),
            ("g", "go to"),
            ("v", "view"),
        ],
    };
    let mut x = area.x + 1;
    for (key, what) in keys {
        if x + width(key) + 1 + width(what) > area.right() {
            break;
        }
        buffer.set_string(x, area.y, key, scene.theme.key());
        x += width(key) + 1;
        buffer.set_string(x, area.y, what, scene.theme.dim());
        x += width(what) + 2;
    }
}

/// The cells that a text takes.
pub fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_the_units_that_fit() {
        let said = [0.0, 9.4, 89.0, 95.0, 3_599.0, 7_260.0].map(duration);
        assert_eq!(said, ["1 s", "9 s", "89 s", "2 min", "60 min", "2 h 01 min"]);
    }

    #[test]
    fn the_pace_is_said_once_there_is_one() {
        let progress = Progress { total: 100, graded: 8, skipped: 2, flagged: 0, seconds: 120.0 };
        assert_eq!(pace(&progress, 100), "  12 s each  18 min left");
        assert_eq!(pace(&progress, 80), "  12 s  18 min left");
        assert_eq!(pace(&Progress { graded: 0, ..progress }, 100), "");
        assert_eq!(pace(&Progress { total: 10, ..progress }, 100), "");
    }
}
