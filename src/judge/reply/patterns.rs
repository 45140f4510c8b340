//! The forms that a verdict has in prose.

use super::tokens::{Token, TokenKind};
use super::{Candidate, Said};
use crate::judge::scale::Scale;
use crate::record::Grade;

/// What announces a verdict, in the languages of the evalsets; also as the end of a longer word of theirs.
const ANNOUNCEMENTS: [&str; 12] = [
    "score",
    "scores",
    "rating",
    "grade",
    "verdict",
    "mark",
    "note",
    "punkte",
    "bewertung",
    "puntuación",
    "评分",
    "得分",
];
/// Those that stand at the end of an unspaced sentence.
const UNSPACED: [&str; 12] =
    ["评分", "得分", "分数", "评级", "等级", "评价", "評価", "点数", "スコア", "评分是", "评分为", "等级是"];

/// Words that may stand between the announcement and the verdict.
const BETWEEN: [&str; 16] =
    ["is", "of", "be", "would", "will", "the", "final", "overall", "est", "ist", "es", "de", "是", "为", "は", "to"];

/// So many signs and words may stand between the announcement and the verdict.
const FAR: usize = 12;

/// The last score.
pub(super) fn score(tokens: &[Token<'_>], scale: Scale) -> Option<Candidate> {
    let mut last = None;
    for index in 0..tokens.len() {
        let TokenKind::Number(value) = tokens[index].kind else { continue };
        let (end, fault) = after_number(tokens, index, scale);
        let is_verdict = is_announced(tokens, index)
            || is_bracketed(tokens, index)
            || is_alone_on_its_line(tokens, index, end)
            // "8/10" anywhere; "1/2" may be half a cup.
            || end > index && !fault;
        if is_verdict {
            let on_menu = !fault && !is_negative(tokens, index) && !is_range_end(tokens, index) && scale.holds(value);
            last = Some(Candidate { end: tokens[end].end, said: on_menu.then_some(Said::Score(value)) });
        }
    }
    last
}

/// The last pair of scores: two numbers that are a line or stand in double brackets, or one for each name.
pub(super) fn scores(tokens: &[Token<'_>], scale: Scale) -> Option<Candidate> {
    let pair = |first: f64, second: f64, end: usize| Candidate {
        end: tokens[end].end,
        said: (scale.holds(first) && scale.holds(second)).then_some(Said::Scores([first, second])),
    };
    let mut last = None;
    let mut named: [Option<(f64, bool)>; 2] = [None, None];
    for index in 0..tokens.len() {
        let TokenKind::Number(value) = tokens[index].kind else { continue };
        if let Some((second, end)) = second_number(tokens, index) {
            last = Some(pair(value, second, end));
            named = [None, None];
        } else if let Some(which) = name_before(tokens, index) {
            let (end, fault) = after_number(tokens, index, scale);
            named[which] = Some((value, fault || is_negative(tokens, index)));
            if let [Some((first, first_fault)), Some((second, second_fault))] = named {
                let candidate = pair(first, second, end);
                let said = if first_fault || second_fault { None } else { candidate.said };
                last = Some(Candidate { said, ..candidate });
            }
        }
    }
    last
}

/// The last grade: a letter that is announced, in double brackets, or alone on its line.
pub(super) fn grade(tokens: &[Token<'_>]) -> Option<Candidate> {
    let mut last = None;
    for index in 0..tokens.len() {
        let TokenKind::Word(word) = tokens[index].kind else { continue };
        // In prose a small letter is an article or a variable.
        if word.len() != 1 || !word.starts_with(|c: char| c.is_ascii_uppercase()) {
            continue;
        }
        let end = after_letter(tokens, index);
        if is_announced(tokens, index) || is_bracketed(tokens, index) || is_alone_on_its_line(tokens, index, end) {
            let next = tokens.get(index + 1);
            let offers_another = next.is_some_and(|next| {
                let then = |offset: usize| tokens.get(index + offset).map(|token| token.kind);
                let letter = |kind| matches!(kind, Some(TokenKind::Word(word)) if word.len() == 1);
                next.is_word("or") || [',', '/', '-'].iter().any(|sign| next.is_sign(*sign)) && letter(then(2))
            });
            // "A+" and "B-" are grades of another scale.
            let has_sign = next.is_some_and(|next| next.is_sign('+') || next.is_sign('-'))
                && !matches!(tokens.get(index + 2).map(|token| token.kind), Some(TokenKind::Word(_)));
            let said = if offers_another || has_sign { None } else { Grade::from_letter(word).map(Said::Grade) };
            last = Some(Candidate { end: tokens[index].end, said });
        }
    }
    last
}

/// The last token of a letter with what it means, in parentheses: "B (fair)".
fn after_letter(tokens: &[Token<'_>], index: usize) -> usize {
    let mut line = (index + 1..tokens.len()).skip_while(|at| tokens[*at].is_sign('*'));
    if !line.next().is_some_and(|at| tokens[at].is_sign('(')) {
        return index;
    }
    let mut line = line.take(FAR).take_while(|at| tokens[*at].kind != TokenKind::Break);
    line.find(|at| tokens[*at].is_sign(')')).unwrap_or(index)
}

/// Whether an announcement stands before, with nothing but signs, line breaks and small words in between.
fn is_announced(tokens: &[Token<'_>], index: usize) -> bool {
    let mut at = index;
    for _ in 0..FAR {
        let Some(before) = at.checked_sub(1) else { return false };
        match tokens[before].kind {
            TokenKind::Sign(')') => match opening(tokens, before) {
                // "Score (1-10): 8"
                Some(open) => at = open,
                None => return false,
            },
            TokenKind::Sign(
                ':' | '=' | '*' | '_' | '"' | '\'' | '`' | '[' | '(' | '#' | '>' | '-' | '−' | '–' | '—' | '|',
            )
            | TokenKind::Break => at = before,
            TokenKind::Word(word) if announces(word) => return true,
            TokenKind::Word(word) if BETWEEN.iter().any(|known| known.eq_ignore_ascii_case(word)) => at = before,
            _ => return false,
        }
    }
    false
}

fn announces(word: &str) -> bool {
    ANNOUNCEMENTS.iter().any(|known| known.eq_ignore_ascii_case(word))
        || !word.is_ascii() && UNSPACED.iter().any(|known| word.ends_with(known))
}

/// The parenthesis that the one at `close` closes, on the same line and not far away.
fn opening(tokens: &[Token<'_>], close: usize) -> Option<usize> {
    let begin = close.saturating_sub(FAR);
    (begin..close).rev().take_while(|at| tokens[*at].kind != TokenKind::Break).find(|at| tokens[*at].is_sign('('))
}

/// `[[` before and `]]` after.
fn is_bracketed(tokens: &[Token<'_>], index: usize) -> bool {
    let sign =
        |at: Option<usize>, sign: char| at.and_then(|at| tokens.get(at)).is_some_and(|token| token.is_sign(sign));
    sign(index.checked_sub(1), '[')
        && sign(index.checked_sub(2), '[')
        && sign(index.checked_add(1), ']')
        && sign(index.checked_add(2), ']')
}

/// Whether the line holds nothing else than tokens `from` to `to` and signs that say nothing.
fn is_alone_on_its_line(tokens: &[Token<'_>], from: usize, to: usize) -> bool {
    let says_nothing = |token: &&Token<'_>| {
        matches!(token.kind, TokenKind::Sign('*' | '_' | '`' | '"' | '[' | ']' | '(' | ')' | '.' | '#' | '>' | ':'))
    };
    let is_break = |token: Option<&Token<'_>>| token.is_none_or(|token| token.kind == TokenKind::Break);
    is_break(tokens[..from].iter().rev().find(|token| !says_nothing(token)))
        && is_break(tokens[to + 1..].iter().find(|token| !says_nothing(token)))
}

/// The last token of a number with what belongs to it ("/10", "out of 10"), and whether that takes it off the menu:
/// another denominator, the beginning of a range.
fn after_number(tokens: &[Token<'_>], index: usize, scale: Scale) -> (usize, bool) {
    let number = |at: usize| match tokens.get(at).map(|token| token.kind) {
        Some(TokenKind::Number(value)) => Some(value),
        _ => None,
    };
    // "[[8]]/10"
    let mut next = index + 1;
    while tokens.get(next).is_some_and(|token| token.is_sign(']') || token.is_sign('*')) {
        next += 1;
    }
    let Some(token) = tokens.get(next) else { return (index, false) };
    if token.is_sign('/')
        && let Some(denominator) = number(next + 1)
    {
        return (next + 1, denominator != scale.1);
    }
    if token.is_word("out") && tokens.get(next + 1).is_some_and(|token| token.is_word("of")) {
        // "out of the ten"
        return match number(next + 2) {
            Some(denominator) => (next + 2, denominator != scale.1),
            None => (index, false),
        };
    }
    let is_dash = ['-', '–', '~'].iter().any(|sign| token.is_sign(*sign)) || token.is_word("to") || token.is_word("or");
    if next == index + 1 && is_dash && number(next + 1).is_some() {
        return (next + 1, true);
    }
    // A percentage is another scale.
    (index, token.is_sign('%'))
}

/// Whether the number is the end of a range whose beginning was looked at.
fn is_range_end(tokens: &[Token<'_>], index: usize) -> bool {
    let Some(start) = index.checked_sub(2) else { return false };
    let dash = &tokens[index - 1];
    let is_dash = ['-', '–', '~'].iter().any(|sign| dash.is_sign(*sign)) || dash.is_word("to") || dash.is_word("or");
    is_dash && matches!(tokens[start].kind, TokenKind::Number(_))
}

/// Whether a minus belongs to the number: it touches the number and no word before ("Score - 8" and "Score-8" do not).
fn is_negative(tokens: &[Token<'_>], index: usize) -> bool {
    let Some(sign) = index.checked_sub(1).map(|at| &tokens[at]) else { return false };
    let touches_word = index.checked_sub(2).map(|at| &tokens[at]).is_some_and(|before| {
        before.end == sign.start && matches!(before.kind, TokenKind::Word(_) | TokenKind::Number(_))
    });
    (sign.is_sign('-') || sign.is_sign('−')) && sign.end == tokens[index].start && !touches_word
}

/// The second of two numbers that are a verdict: in double brackets ("[[8, 6]]", "[[8]] [[6]]"), announced, or a line.
fn second_number(tokens: &[Token<'_>], index: usize) -> Option<(f64, usize)> {
    let mut at = index + 1;
    while tokens.get(at).is_some_and(|token| {
        matches!(token.kind, TokenKind::Sign(',' | ';' | '|' | '&' | '[' | ']' | '*')) || token.is_word("and")
    }) {
        at += 1;
    }
    let TokenKind::Number(second) = tokens.get(at)?.kind else { return None };
    // A third number makes it a list of something else.
    let mut after = at + 1;
    while tokens.get(after).is_some_and(|token| matches!(token.kind, TokenKind::Sign(',' | ']' | '*' | ' '))) {
        after += 1;
    }
    if matches!(tokens.get(after).map(|token| token.kind), Some(TokenKind::Number(_))) {
        return None;
    }
    let sign =
        |at: Option<usize>, sign: char| at.and_then(|at| tokens.get(at)).is_some_and(|token| token.is_sign(sign));
    let in_brackets = sign(index.checked_sub(1), '[') && sign(at.checked_add(1), ']');
    let is_verdict = in_brackets || is_announced(tokens, index) || is_alone_on_its_line(tokens, index, at);
    let is_off = is_negative(tokens, index) || is_negative(tokens, at);
    is_verdict.then_some((if is_off { f64::NAN } else { second }, at))
}

/// Which of two answers a number is said of: 0 in "Answer A: 8", "Assistant 1 gets a score of 8", "A: 8/10"; 1 for the
/// other.
fn name_before(tokens: &[Token<'_>], index: usize) -> Option<usize> {
    let mut at = index;
    for _ in 0..FAR {
        at = at.checked_sub(1)?;
        let named_by = |before: Option<usize>| {
            before.and_then(|at| tokens.get(at)).is_some_and(|token| {
                ["answer", "assistant", "response", "model", "score", "for", "of", "回答", "助手"]
                    .iter()
                    .any(|word| token.is_word(word))
            })
        };
        let begins_line = at == 0
            || tokens[..at]
                .iter()
                .rev()
                .find(|token| !matches!(token.kind, TokenKind::Sign('*' | '#' | '-' | '>' | '|' | '[' | '(')))
                .is_none_or(|token| token.kind == TokenKind::Break)
            || tokens[at - 1].is_sign(',')
            || tokens[at - 1].is_sign(';');
        match tokens[at].kind {
            TokenKind::Break => return None,
            TokenKind::Word(word @ ("A" | "B")) if begins_line || named_by(at.checked_sub(1)) => {
                return Some(usize::from(word == "B"));
            }
            TokenKind::Number(number) if named_by(at.checked_sub(1)) && (number == 1.0 || number == 2.0) => {
                return Some(usize::from(number == 2.0));
            }
            TokenKind::Number(_) => return None,
            TokenKind::Word(word)
                if announces(word)
                    || BETWEEN.iter().any(|known| known.eq_ignore_ascii_case(word))
                    || ["s", "a", "gets", "deserves", "receives", "an"].contains(&word) => {}
            TokenKind::Sign(
                ':' | '=' | '*' | '_' | '"' | '\'' | '’' | '`' | '[' | '(' | ']' | ')' | '-' | '–' | '|',
            ) => {}
            _ => return None,
        }
    }
    None
}
