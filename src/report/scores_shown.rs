//! The tables and figures of scores.

use super::figure::{Dot, Figure, Named, dots};
use super::scores::{ScoreRate, Scores};
use super::subsets::{ABILITY, ALL, name_of};
use super::table::{Cell, Kind, Table, column};
use super::tables::{cell, comparisons_of};
use crate::sanitize;

impl Scores {
    /// How often each model was right, a column a subset; the same in rows with counts and methods; models compared.
    pub fn tables(&self) -> Vec<Table> {
        let tables = [self.by_model(), self.in_rows(), self.compared(false), self.compared(true)];
        tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
    }

    /// Dots with intervals: one figure of all questions and the categories, one of the abilities.
    pub fn figures(&self) -> Vec<Figure> {
        let (abilities, others): (Vec<&str>, Vec<&str>) =
            self.subsets.iter().map(|row| row.subset.as_str()).partition(|subset| subset.starts_with(ABILITY));
        // Categories that hold all the questions say nothing more.
        let total = self.questions(ALL);
        let others: Vec<&str> =
            others.into_iter().filter(|subset| *subset == ALL || self.questions(subset) < total).collect();
        let plots = [("scores", "Right answers", others), ("score_abilities", "Right answers by ability", abilities)];
        let drawn = plots.into_iter().filter(|(.., subsets)| !subsets.is_empty());
        drawn.map(|(name, title, subsets)| self.plot(name, title, &subsets)).collect()
    }

    fn questions(&self, subset: &str) -> usize {
        self.subsets.iter().find(|row| row.subset == subset).map_or(0, |row| row.questions)
    }

    fn of(&self, model_id: &str, subset: &str) -> Option<&ScoreRate> {
        self.rates.iter().find(|row| row.model_id == model_id && row.subset == subset)
    }

    fn plot(&self, name: &str, title: &str, subsets: &[&str]) -> Figure {
        let panels: Vec<(String, Vec<Dot>)> = subsets
            .iter()
            .map(|subset| {
                let dot = |row: &ScoreRate| (row.model_id.clone(), [row.rate.point, row.rate.low, row.rate.high]);
                let rows = self.rates.iter().filter(|row| row.subset == *subset && row.n > 0).map(dot).collect();
                let count = self.questions(subset);
                let count = if count == 1 { "1 question".to_owned() } else { format!("{count} questions") };
                (format!("{} ({count})", name_of(&self.subsets, subset)), rows)
            })
            .collect();
        let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, format!("{} %", (100.0 * at) as u8)));
        let caption = "The share of answers that equal a reference (letter case, articles, punctuation and the spelling of \
                       numbers aside). Lines are 95 % intervals.";
        dots(Named { name, title, caption }, &panels, [0.0, 1.0], &ticks, Kind::Share)
    }

    fn by_model(&self) -> Table {
        let mut columns = vec![column("model_id", "Model", Kind::Text)];
        // Names of abilities are long: the caption has them.
        let mut names = Vec::new();
        for row in &self.subsets {
            let title = match row.subset.strip_prefix(ABILITY) {
                Some(letter) if row.name.starts_with(&format!("{letter}: ")) => {
                    names.push(sanitize::terminal(&row.name));
                    letter
                }
                _ => &row.name,
            };
            let title = sanitize::terminal(&format!("{title} ({})", row.questions));
            columns.push(column(&row.subset, &title, Kind::Share));
        }
        let row = |model: &String| {
            let rates = self.subsets.iter().map(|row| match self.of(model, &row.subset) {
                Some(rate) => cell(&rate.rate),
                None => Cell::Interval([None; 3]),
            });
            std::iter::once(Cell::text(model)).chain(rates).collect()
        };
        Table {
            name: "scores".to_owned(),
            title: "Right answers, in per cent".to_owned(),
            caption: format!(
                "The share of answers that equal a reference, with 95 % intervals; in the head the number of questions that \
                 have one and were answered by a model. Questions may be of several abilities, so the columns overlap.{}",
                if names.is_empty() { String::new() } else { format!(" {}.", names.join("; ")) }
            ),
            columns,
            rows: self.models.iter().map(row).collect(),
            is_long: false,
        }
    }

    fn in_rows(&self) -> Table {
        let row = |row: &ScoreRate| {
            vec![
                Cell::named(&row.subset, name_of(&self.subsets, &row.subset)),
                Cell::text(&row.model_id),
                Cell::Count(row.n),
                Cell::Count(row.right),
                cell(&row.rate),
                Cell::text(row.rate.method.as_ref().or(row.rate.undefined.as_ref()).cloned().unwrap_or_default()),
            ]
        };
        Table {
            name: "scores_counted".to_owned(),
            title: "Right answers, counted".to_owned(),
            caption: "n is the number of answers to questions that have a reference. The interval resamples whole pictures where \
                      a picture has several of the questions, and is Wilson's where none has, or where all answers are \
                      right or all are wrong."
                .to_owned(),
            columns: vec![
                column("subset", "Questions", Kind::Text),
                column("model_id", "Model", Kind::Text),
                column("n", "n", Kind::Count),
                column("right", "Right", Kind::Count),
                column("rate", "Right, %", Kind::Share),
                column("method", "Interval", Kind::Text),
            ],
            rows: self.rates.iter().filter(|row| row.n > 0).map(row).collect(),
            is_long: true,
        }
    }

    /// On all questions, or in every subset.
    fn compared(&self, is_long: bool) -> Table {
        let rows = self.comparisons.iter().filter(|row| is_long || row.subset == ALL);
        let (columns, rows) = comparisons_of(rows, &self.subsets);
        let caption = "Differences in right answers on the questions that both models have a scored answer to, with 95 % \
                       intervals from resampled pictures. p: paired permutation of whole pictures; adjusted by Holm over \
                       the pairs of models of the same subset. McNemar's exact test takes questions for independent.";
        let (name, title) = if is_long {
            ("score_comparisons_all", "Right answers compared by subset")
        } else {
            ("score_comparisons", "Right answers compared")
        };
        Table { name: name.to_owned(), title: title.to_owned(), caption: caption.to_owned(), columns, rows, is_long }
    }
}
