//! A judge beside people: what `owleval judge` says of the models, what people say, and whether the judge may be believed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::answered::Answered;
use super::comparisons::net_wins;
use super::distributions::Distribution;
use super::figure::{Dot, Figure, Named, dots};
use super::observed::Observed;
use super::sources::{read_input, seen_from};
use super::subsets::{ALL, SubsetRow, name_of};
use super::table::{Cell, Column, Kind, Table, column};
use super::{Input, InputKind};
use crate::error::{Error, Result};
use crate::judge::{self, Coverage, Group, JudgeId, Licence, PictureCounts, Summary};
use crate::sanitize;

/// What one judge said of the answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgeRow {
    /// The folder, as the inputs name it.
    pub folder: String,
    pub judge: JudgeId,
    /// Whose answers the others were judged against.
    pub against: Option<String>,
    pub licence: Licence,
    pub coverage: Coverage,
    pub pictures: PictureCounts,
    /// Probes by which the judge was fooled more often than it declares as bearable, of those that showed anything.
    pub probes_failed: usize,
    pub probes: usize,
    /// κ with quadratic weights of the judge and the people, as its own check found it; null where it was not checked.
    pub kappa_quadratic: Option<[Option<f64>; 3]>,
    /// Answers behind it.
    pub compared: Option<usize>,
    /// By model and subset; empty where the judge did not reach the coverage that it declares.
    pub groups: Vec<JudgedGroup>,
}

/// The answers of a model in a subset, by the judge and by people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgedGroup {
    #[serde(flatten)]
    pub judged: Group,
    /// Null where people graded none of these answers.
    pub people: Option<People>,
}

/// What people say of the same model and subset.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct People {
    /// Questions with a grade.
    pub n: usize,
    pub rate_a: Option<f64>,
    pub rate_ab: Option<f64>,
    /// Questions on which the model has the better, an equal, the worse grade than the one that it was judged against.
    pub wins_ties_losses: Option<[usize; 3]>,
}

/// Reads the folders of judgements and says where they come from.
pub(super) fn read(
    folders: &[PathBuf],
    answered: &[Answered],
    out: &Path,
    inputs: &mut Vec<Input>,
) -> Result<Vec<(String, Summary)>> {
    let mut summaries = Vec::new();
    for folder in folders {
        read_input(InputKind::Judgements, folder, &folder.join(judge::JUDGEMENTS), out, inputs)?;
        let path = folder.join(judge::SUMMARY);
        let bytes = read_input(InputKind::JudgeSummary, &path, &path, out, inputs)?;
        let unusable = |source: serde_json::Error| {
            Error::input("is no summary of judgements")
                .at(&path)
                .remedy("make it again: the same call of owleval judge asks nothing twice")
                .source(source)
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(unusable)?;
        let schema = value.get("schema").and_then(|schema| schema.as_str());
        if schema != Some(judge::SUMMARY_SCHEMA) {
            let found = schema.unwrap_or("not given");
            return Err(
                Error::input(format!("its schema is {found}, this program's {}", judge::SUMMARY_SCHEMA)).at(&path)
            );
        }
        let summary: Summary = serde_json::from_value(value).map_err(unusable)?;
        refuse_other_answers(&summary, answered, &path)?;
        summaries.push((seen_from(out, folder), summary));
    }
    Ok(summaries)
}

/// What was judged has to be what else the report tells of.
fn refuse_other_answers(summary: &Summary, answered: &[Answered], path: &Path) -> Result<()> {
    for judged in &summary.answers {
        let given = answered.iter().find(|one| one.model_id == judged.model_id);
        if given.is_some_and(|given| given.published.sha256() != judged.sha256) {
            let message = format!("other answers of {} were judged than those given", judged.model_id);
            return Err(Error::input(message).at(path).remedy("judge these answers, or leave one of the two out"));
        }
    }
    Ok(())
}

/// The judges, with what people say of the same answers.
pub(super) fn all(summaries: Vec<(String, Summary)>, observed: &Observed, grades: &[Distribution]) -> Vec<JudgeRow> {
    summaries
        .into_iter()
        .map(|(folder, summary)| {
            let against = summary.against.map(|answers| answers.model_id);
            let group = |group: Group| {
                let people = people(&group, against.as_deref(), observed, grades);
                JudgedGroup { judged: group, people }
            };
            let kappa = summary.check.as_ref().and_then(|check| check.parts.iter().find(|part| part.subset == ALL));
            let shown = || summary.probes.iter().filter_map(|probe| probe.passed);
            JudgeRow {
                licence: summary.licence,
                coverage: summary.coverage,
                pictures: summary.pictures,
                probes_failed: shown().filter(|passed| !passed).count(),
                probes: shown().count(),
                kappa_quadratic: kappa.map(|part| {
                    let kappa = &part.kappa_quadratic;
                    [kappa.value, kappa.low, kappa.high]
                }),
                compared: summary.check.as_ref().map(|check| check.compared),
                groups: summary.groups.into_iter().map(group).collect(),
                judge: summary.judge,
                folder,
                against,
            }
        })
        .collect()
}

fn people(group: &Group, against: Option<&str>, observed: &Observed, grades: &[Distribution]) -> Option<People> {
    let of = grades.iter().find(|row| row.model_id == group.model_id && row.subset == group.subset && row.n > 0)?;
    let place = |name: &str| observed.models.iter().position(|model| model == name);
    let pair = place(&group.model_id).zip(against.and_then(place));
    let wins_ties_losses = pair.map(|(model, other)| {
        let mut counts = [0; 3];
        for question in observed.of_subset(&group.subset) {
            if let Some(net) = net_wins(&observed.grades(model, question), &observed.grades(other, question)) {
                counts[if net > 0.0 {
                    0
                } else if net < 0.0 {
                    2
                } else {
                    1
                }] += 1;
            }
        }
        counts
    });
    Some(People { n: of.n, rate_a: of.rate_a.point, rate_ab: of.rate_ab.point, wins_ties_losses })
}

/// The judges themselves, and what they say of the models.
pub(super) fn tables(judges: &[JudgeRow], subsets: &[SubsetRow]) -> [Table; 2] {
    [the_judges(judges), their_groups(judges, subsets)]
}

fn the_judges(judges: &[JudgeRow]) -> Table {
    let row = |row: &JudgeRow| {
        vec![
            Cell::text(&row.judge.name),
            Cell::text(row.judge.model.as_deref().unwrap_or("no model")),
            Cell::text(row.licence.in_words()),
            Cell::Count(row.coverage.answers),
            Cell::Count(row.coverage.judged),
            Cell::Interval([Some(row.coverage.share), None, None]),
            Cell::Interval([Some(row.coverage.declared), None, None]),
            Cell::text(format!("{} of {}", row.probes_failed, row.probes)),
            Cell::text(format!("{} shown, {} withheld", row.pictures.shown, row.pictures.withheld)),
            Cell::Interval(row.kappa_quadratic.unwrap_or_default()),
            Cell::Number(row.compared.map(|count| count as f64)),
            Cell::text(&row.folder),
        ]
    };
    Table {
        name: "judges".to_owned(),
        title: "Judges, and whether to believe them".to_owned(),
        caption: "A judge is licensed where it agrees with human grades of the same answers as far as it declares that it has \
                  to, and unchecked where nobody compared. Probes are altered answers that a judge should not be fooled \
                  by; failed are those that fooled it more often than it declares as bearable. What an unlicensed judge \
                  says is no evidence about the models."
            .to_owned(),
        columns: vec![
            column("judge", "Judge", Kind::Text),
            column("model", "Model that judged", Kind::Text),
            column("licence", "Licence", Kind::Text),
            column("answers", "Answers", Kind::Count),
            column("judged", "Judged", Kind::Count),
            column("coverage", "Coverage, %", Kind::Share),
            column("declared", "declared, %", Kind::Share),
            column("probes_failed", "Probes failed", Kind::Text),
            column("pictures", "Pictures", Kind::Text),
            column("kappa_quadratic", "\u{3ba} with people, quadratic", Kind::Value),
            column("compared", "Answers compared", Kind::Count),
            column("folder", "Folder, from here", Kind::Text),
        ],
        rows: judges.iter().map(row).collect(),
        is_long: false,
    }
}

/// What a column says of a group; `None` where its judge has no such thing.
type Show = fn(&JudgeRow, &JudgedGroup) -> Option<Cell>;

/// The columns after that of the subset.
fn group_columns() -> Vec<(Column, Show)> {
    vec![
        (column("judge", "Judge", Kind::Text), |row, _| {
            let name = format!("{} ({})", row.judge.name, row.licence.in_words());
            Some(Cell::named(&row.judge.name, &name))
        }),
        (column("model_id", "Model", Kind::Text), |_, group| Some(Cell::text(&group.judged.model_id))),
        (column("answers", "Answers", Kind::Count), |_, group| Some(Cell::Count(group.judged.answers))),
        (column("judged", "Judged", Kind::Count), |_, group| Some(Cell::Count(group.judged.judged))),
        (column("mean_score", "Mean score", Kind::Amount), |_, group| {
            group.judged.scores.map(|scores| Cell::Number(Some(scores.mean)))
        }),
        (column("grades", "A\u{2013}B\u{2013}C\u{2013}D", Kind::Text), |_, group| {
            group.judged.grades.map(|line| joined(&[line.a, line.b, line.c, line.d]))
        }),
        (column("rate_ab", "A or B, %", Kind::Amount), |_, group| {
            group.judged.grades.map(|line| Cell::Number(Some(100.0 * line.rate_ab)))
        }),
        (column("win_tie_loss", "Win\u{2013}tie\u{2013}loss", Kind::Text), |_, group| {
            group.judged.pairs.map(|line| joined(&[line.wins, line.ties, line.losses]))
        }),
        (column("against", "against", Kind::Text), |row, _| row.against.as_ref().map(Cell::text)),
        (column("equals", "Equals the reference, %", Kind::Amount), |_, group| {
            group.judged.measures.map(|line| Cell::Number(Some(100.0 * line.normalised)))
        }),
        (column("contains", "Holds the reference, %", Kind::Amount), |_, group| {
            group.judged.measures.map(|line| Cell::Number(Some(100.0 * line.contains)))
        }),
        (column("people_n", "People: n", Kind::Count), |_, group| group.people.map(|people| Cell::Count(people.n))),
        (column("people_rate_ab", "People: A or B, %", Kind::Amount), |_, group| {
            group.people?.rate_ab.map(|rate| Cell::Number(Some(100.0 * rate)))
        }),
        (column("people_win_tie_loss", "People: win\u{2013}tie\u{2013}loss", Kind::Text), |_, group| {
            group.people?.wins_ties_losses.map(|counts| joined(&counts))
        }),
    ]
}

/// Columns that no judge here has anything for are left out.
fn their_groups(judges: &[JudgeRow], subsets: &[SubsetRow]) -> Table {
    let all: Vec<(&JudgeRow, &JudgedGroup)> = judges
        .iter()
        .flat_map(|row| row.groups.iter().map(move |group| (row, group)))
        .filter(|(_, group)| group.judged.answers > 0)
        .collect();
    let mut columns = group_columns();
    columns.retain(|(_, show)| all.iter().any(|(row, group)| show(row, group).is_some()));
    // By subset first, as the other tables are.
    let mut order: Vec<&str> = Vec::new();
    for (_, group) in &all {
        if !order.contains(&group.judged.subset.as_str()) {
            order.push(&group.judged.subset);
        }
    }
    let rows = order.iter().flat_map(|subset| {
        let of_subset = all.iter().filter(|(_, group)| group.judged.subset == **subset);
        of_subset.map(|(row, group)| {
            let name = group.judged.name.as_deref().map_or_else(
                || name_of(subsets, subset).replace('_', " "),
                |name| format!("{}: {name}", subset.trim_start_matches("ability:")),
            );
            let nothing = |column: &Column| match column.kind {
                Kind::Text => Cell::text("\u{2013}"),
                _ => Cell::Number(None),
            };
            let others = columns.iter().map(|(column, show)| show(row, group).unwrap_or_else(|| nothing(column)));
            std::iter::once(Cell::named(subset, &name)).chain(others).collect::<Vec<Cell>>()
        })
    });
    let rows = rows.collect();
    let columns =
        std::iter::once(column("subset", "Questions", Kind::Text)).chain(columns.into_iter().map(|(column, _)| column));
    Table {
        name: "judged".to_owned(),
        title: "Judges beside people".to_owned(),
        caption: "What each judge says of the models, and what people say of the same models and questions. What a judge could \
                  not be read on is missing and no number; a judge below its declared coverage has no rows."
            .to_owned(),
        columns: columns.collect(),
        rows,
        is_long: false,
    }
}

fn joined(counts: &[usize]) -> Cell {
    Cell::text(counts.iter().map(usize::to_string).collect::<Vec<_>>().join("\u{2013}"))
}

/// Judges of grades and people on one scale, a panel a model; none where no judge gave grades.
pub(super) fn figure(judges: &[JudgeRow], grades: &[Distribution]) -> Option<Figure> {
    let mut panels: Vec<(String, Vec<Dot>)> = Vec::new();
    for row in judges {
        for group in row.groups.iter().filter(|group| group.judged.subset == ALL) {
            let Some(line) = group.judged.grades else { continue };
            let model = &group.judged.model_id;
            let place = panels.iter().position(|(name, _)| name == model).unwrap_or_else(|| {
                let people = grades.iter().find(|row| row.model_id == *model && row.subset == ALL && row.n > 0);
                let people =
                    people.map(|row| ("people".to_owned(), [row.rate_ab.point, row.rate_ab.low, row.rate_ab.high]));
                panels.push((model.clone(), people.into_iter().collect()));
                panels.len() - 1
            });
            let name = format!("{}, {}", sanitize::terminal(&row.judge.name), row.licence.in_words());
            panels[place].1.push((name, [Some(line.rate_ab), None, None]));
        }
    }
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, format!("{} %", (100.0 * at) as u8)));
    let caption = "The share of A or B on all questions that were judged, beside that of people, whose lines are Wilson's 95 % \
                   intervals.";
    let named = Named { name: "judged", title: "Judges beside people", caption };
    (!panels.is_empty()).then(|| dots(named, &panels, [0.0, 1.0], &ticks, Kind::Share))
}
