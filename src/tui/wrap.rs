//! Text into the lines of a column: by words where there are words, between characters where a script has none.
//!
//! Widths are those that the terminal gives (two cells for a Chinese character), and a character is what a reader takes
//! for one (a letter with its accents, an emoji with its joiners): it is never cut.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::sanitize;

/// These do not begin a line: they belong to what stands before them.
const CLOSING: &str = "，。、！？；：）」』】》〉”’…％";

/// The lines of a text of any origin, at most `width` cells wide. Line breaks of the text stay; what a terminal would
/// obey is marked. There is always at least one line.
pub fn wrap(text: &str, width: u16) -> Vec<String> {
    // A wide character must find room.
    let width = usize::from(width.max(2));
    let mut lines = Vec::new();
    for line in sanitize::terminal_lines(text).split('\n') {
        wrap_line(line, width, &mut lines);
    }
    lines
}

/// Fits a text of any origin into one line of `width` cells; what is cut off is said by `…`.
pub fn fit(text: &str, width: u16) -> String {
    let text = sanitize::terminal(text);
    let width = usize::from(width);
    if text.width() <= width {
        return text;
    }
    let mut fitted = String::new();
    let mut used = 1;
    for character in text.graphemes(true) {
        used += character.width();
        if used > width {
            break;
        }
        fitted.push_str(character);
    }
    if width > 0 {
        fitted.truncate(fitted.trim_end().len());
        fitted.push('…');
    }
    fitted
}

fn wrap_line(line: &str, width: usize, lines: &mut Vec<String>) {
    let mut current = String::new();
    let mut used = 0;
    // Where the line may be broken, in bytes: the end of what stays, and what stood so one break before.
    let mut breaks: [usize; 2] = [0; 2];
    let mut is_broken = false;
    for character in line.graphemes(true) {
        let size = character.width();
        let is_space = character.chars().all(char::is_whitespace);
        if CLOSING.contains(character) && breaks[1] == current.len() {
            breaks[1] = breaks[0];
        }
        if used + size > width && is_space {
            // The break swallows the space, and those that follow it.
            lines.push(finish(&current));
            (current, used, breaks, is_broken) = (String::new(), 0, [0; 2], true);
            continue;
        }
        // Twice where what is carried over from a break leaves no room either.
        while used + size > width {
            let at = if breaks[1] > 0 { breaks[1] } else { current.len() };
            let rest = current.split_off(at);
            lines.push(finish(&current));
            current = rest.trim_start().to_owned();
            (used, breaks, is_broken) = (current.width(), [0; 2], true);
        }
        if is_space && is_broken && current.is_empty() {
            continue;
        }
        current.push_str(character);
        used += size;
        if is_space || size >= 2 || character == "-" {
            breaks = [breaks[1], current.len()];
        }
    }
    lines.push(finish(&current));
}

fn finish(line: &str) -> String {
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_stay_whole_where_they_can() {
        assert_eq!(wrap("The cat sat on the mat.", 10), ["The cat", "sat on the", "mat."]);
        assert_eq!(wrap("incomprehensibilities", 8), ["incompre", "hensibil", "ities"]);
        assert_eq!(wrap("a incomprehensibilities", 8), ["a", "incompre", "hensibil", "ities"]);
    }

    #[test]
    fn line_breaks_and_indents_of_the_text_stay() {
        assert_eq!(wrap("one\n\n  two\n", 10), ["one", "", "  two", ""]);
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("\tif x:", 10), ["    if x:"]);
    }

    #[test]
    fn chinese_breaks_anywhere_but_before_closing_marks() {
        assert_eq!(
            wrap("这张图片很有趣，因为猫在笑。", 14),
            ["这张图片很有", "趣，因为猫在", "笑。"].map(str::to_owned)
        );
        assert_eq!(wrap("无法回溯", 3), ["无", "法", "回", "溯"]);
    }

    #[test]
    fn what_a_terminal_would_obey_is_marked() {
        assert_eq!(wrap("\u{1b}[2Jred\u{b}", 20), ["␛[2Jred␋"]);
        assert_eq!(fit("a\nb\u{202e}", 20), "a␊b⟦U+202E⟧");
    }

    #[test]
    fn what_does_not_fit_is_said_to_be_cut() {
        assert_eq!(fit("a long title", 12), "a long title");
        assert_eq!(fit("a long title", 8), "a long…");
        assert_eq!(fit("无法回溯", 6), "无法…");
        assert_eq!(fit("无法回溯", 0), "");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_column_and_no_letter_is_lost(text in "[a-z 界é👩‍👧，\n-]{0,80}", width in 2u16..30) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|line| line.width() <= usize::from(width)), "{:?}", lines);
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&sanitize::terminal_lines(&text)));
        }

        #[test]
        fn a_fitted_line_fits(text in ".{0,60}", width in 0u16..40) {
            prop_assert!(fit(&text, width).width() <= usize::from(width));
        }
    }
}
