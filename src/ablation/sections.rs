//! What the report of an ablation shows: tables and figures of an [`Ablation`].

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{ALL, Rate, Test};
use super::report::{Ablation, ClaimRow, EvalSetRow};
use super::results::Results;
use crate::report::{
    Cell, Column, Document, Dot, Figure, Kind, Named, Section, Table, Text, column, dots, loss_curves,
};

/// OwlEval's abilities, for people.
const ABILITIES: [(&str, &str); 6] = [
    ("ability:a", "a instruction"),
    ("ability:b", "b visual"),
    ("ability:c", "c text in picture"),
    ("ability:d", "d knowledge"),
    ("ability:e", "e reasoning"),
    ("ability:f", "f multi-turn"),
];

/// The whole report.
pub fn document(ablation: &Ablation, results: &Results) -> Document {
    let mut sections = vec![
        Section::Text(variants_in_words(ablation)),
        Section::Figure(overall(ablation)),
        Section::Table(claims(ablation)),
    ];
    for evalset in &ablation.evalsets {
        sections.push(Section::Table(by_subset(ablation, evalset, "ability:", "abilities")));
        if evalset.subsets.iter().any(|subset| subset.starts_with("kind:")) {
            sections.push(Section::Table(by_subset(ablation, evalset, "kind:", "kinds")));
        }
        sections.push(Section::Table(tests(ablation, evalset)));
    }
    sections.push(Section::Table(replicates(ablation)));
    sections.push(Section::Figure(losses(ablation, results)));
    sections.push(Section::Table(stages(ablation)));
    sections.push(Section::Table(every_test(ablation)));
    Document { title: ablation.title.clone(), notes: ablation.notes.clone(), summary: summary(ablation), sections }
}

fn summary(ablation: &Ablation) -> String {
    let models: u64 = ablation.variants.iter().map(|variant| variant.replicates).sum();
    let questions: usize = ablation.evalsets.iter().map(|evalset| evalset.questions).sum();
    let (variants, evalsets) = (ablation.variants.len(), ablation.evalsets.len());
    format!(
        "{variants} variants in {models} trainings, {questions} questions with references in {evalsets} evalsets, exact \
         answers of greedy decoding; {} resamples of pictures, seed {}",
        ablation.resamples, ablation.seed
    )
}

fn variants_in_words(ablation: &Ablation) -> Text {
    let paragraphs = ablation.variants.iter().map(|variant| {
        let stands_for = match variant.stands_for.as_str() {
            "" => String::new(),
            whose => format!(" (stands for: {whose})"),
        };
        let times = if variant.replicates > 1 { format!(", {} replicates", variant.replicates) } else { String::new() };
        format!("{}: {}{stands_for}. Stages: {}{times}.", variant.name, variant.title, variant.stages.join(", "))
    });
    Text { name: "variants".to_owned(), title: "The variants".to_owned(), paragraphs: paragraphs.collect() }
}

fn interval(rate: &Rate) -> [Option<f64>; 3] {
    [Some(rate.point), rate.low, rate.high]
}

/// A panel an evalset, a row a variant.
fn overall(ablation: &Ablation) -> Figure {
    let panels = ablation.evalsets.iter().map(|evalset| {
        let rows = ablation.variants.iter().filter_map(|variant| {
            let rate = ablation.rate(&variant.name, &evalset.name, ALL)?;
            Some((variant.name.clone(), interval(rate)))
        });
        (format!("{} ({} questions)", evalset.title, evalset.questions), rows.collect::<Vec<Dot>>())
    });
    let ticks: Vec<(f64, String)> = (0..=4).map(|part| (f64::from(part) / 4.0, format!("{} %", 25 * part))).collect();
    let named = Named {
        name: "exact-answers",
        title: "Exact answers by variant",
        caption: "The share of questions answered exactly as a reference, with intervals of 95 % over whole pictures.",
    };
    dots(named, &panels.collect::<Vec<_>>(), [0.0, 1.0], &ticks, Kind::Share)
}

/// Claim by claim: what was said, what the answers say.
fn claims(ablation: &Ablation) -> Table {
    let columns = vec![
        column("verdict", "at this scale", Kind::Text),
        column("claim", "what was said", Kind::Text),
        column("source", "where", Kind::Text),
        column("compared", "compared", Kind::Text),
        column("rate_better", "the one said to be better, %", Kind::Text),
        column("rate_worse", "the other, %", Kind::Text),
        column("difference", "difference, points", Kind::Difference),
        column("p_adjusted", "p (Holm)", Kind::PValue),
    ];
    let row = |row: &ClaimRow| {
        let percent = |rate: Option<f64>| {
            Cell::text(rate.map_or_else(|| "no answers".to_owned(), |rate| format!("{:.1}", 100.0 * rate)))
        };
        let ClaimRow { claim, test, .. } = row;
        vec![
            Cell::text(row.verdict.name()),
            Cell::text(&claim.says),
            Cell::text(&claim.source),
            Cell::text(format!("{} over {} on {}, {}", claim.better, claim.worse, claim.evalset, claim.subset)),
            percent(row.rate_better),
            percent(row.rate_worse),
            Cell::Interval([test.difference, test.low, test.high]),
            Cell::Number(test.p_adjusted),
        ]
    };
    Table {
        name: "claims".to_owned(),
        title: "Claim by claim".to_owned(),
        caption: "A claim holds here, or is contradicted, where the two variants differ at 5 % after Holm's adjustment over all \
                  claims (permutation of pictures); else it cannot be told. Replicates are averaged question by question."
            .to_owned(),
        columns,
        rows: ablation.claims.iter().map(row).collect(),
        is_long: false,
    }
}

/// Variants in rows, all questions and the subsets of a kind in columns.
fn by_subset(ablation: &Ablation, evalset: &EvalSetRow, prefix: &str, name: &str) -> Table {
    let subsets: Vec<&str> = std::iter::once(ALL)
        .chain(evalset.subsets.iter().map(String::as_str).filter(|subset| subset.starts_with(prefix)))
        .collect();
    let mut columns = vec![column("variant", "variant", Kind::Text)];
    let title_of = |subset: &str| {
        let ability = ABILITIES.iter().find(|(key, _)| *key == subset).map(|(_, title)| (*title).to_owned());
        ability.unwrap_or_else(|| subset.trim_start_matches("kind:").replace('_', " "))
    };
    let heading = |subset: &&str| -> Column {
        let n = ablation.rates.iter().find(|rate| rate.evalset == evalset.name && rate.subset == **subset);
        let title = format!("{} (n {})", title_of(subset), n.map_or(0, |rate| rate.n));
        column(&subset.replace(':', "_"), &title, Kind::Share)
    };
    columns.extend(subsets.iter().map(heading));
    let rows = ablation.variants.iter().filter_map(|variant| {
        ablation.rate(&variant.name, &evalset.name, ALL)?;
        let cells = subsets.iter().map(|subset| {
            let rate = ablation.rate(&variant.name, &evalset.name, subset);
            Cell::Interval(rate.map_or([None; 3], interval))
        });
        Some(std::iter::once(Cell::text(&variant.name)).chain(cells).collect())
    });
    Table {
        name: format!("{}-{name}", evalset.name),
        title: format!("Exact answers, {}, by {name}", evalset.title),
        caption: "Per cent, with intervals of 95 % over whole pictures (Wilson's where all or none is right). A question counts \
                  for each of its abilities."
            .to_owned(),
        columns,
        rows: rows.collect(),
        is_long: false,
    }
}

fn test_row(test: &Test) -> Vec<Cell> {
    vec![
        Cell::text(&test.worse),
        Cell::Count(test.n),
        Cell::Interval([test.difference, test.low, test.high]),
        Cell::Number(test.p_value),
        Cell::Number(test.p_adjusted),
    ]
}

fn test_columns() -> Vec<Column> {
    vec![
        column("variant", "variant", Kind::Text),
        column("n", "questions", Kind::Count),
        column("difference", "reference better by, points", Kind::Difference),
        column("p_value", "p", Kind::PValue),
        column("p_adjusted", "p (Holm)", Kind::PValue),
    ]
}

fn reference(ablation: &Ablation) -> &str {
    ablation.variants.iter().find(|variant| variant.is_reference).map_or("", |variant| &variant.name)
}

/// The reference beside every other variant, on all questions of an evalset.
fn tests(ablation: &Ablation, evalset: &EvalSetRow) -> Table {
    let of = ablation.tests.iter().filter(|test| test.evalset == evalset.name && test.subset == ALL);
    Table {
        name: format!("{}-tests", evalset.name),
        title: format!("{} beside each other variant, {}", reference(ablation), evalset.title),
        caption: "Paired by question, whole pictures permuted; p-values adjusted by Holm over the variants.".to_owned(),
        columns: test_columns(),
        rows: of.map(test_row).collect(),
        is_long: false,
    }
}

/// All tests, by evalset and subset.
fn every_test(ablation: &Ablation) -> Table {
    let mut columns = vec![column("evalset", "evalset", Kind::Text), column("subset", "subset", Kind::Text)];
    columns.extend(test_columns());
    let row =
        |test: &Test| [Cell::text(&test.evalset), Cell::text(&test.subset)].into_iter().chain(test_row(test)).collect();
    Table {
        name: "tests".to_owned(),
        title: format!("{} beside each other variant, all subsets", reference(ablation)),
        caption: "p-values are adjusted within an evalset and subset.".to_owned(),
        columns,
        rows: ablation.tests.iter().map(row).collect(),
        is_long: true,
    }
}

/// What training again with another seed changes.
fn replicates(ablation: &Ablation) -> Table {
    let rows = ablation.evalsets.iter().flat_map(|evalset| {
        ablation.variants.iter().filter_map(move |variant| {
            let rate = ablation.rate(&variant.name, &evalset.name, ALL)?;
            let spread = |values: &[f64]| {
                let fold = |start: f64, of: fn(f64, f64) -> f64| values.iter().copied().fold(start, of);
                fold(f64::NEG_INFINITY, f64::max) - fold(f64::INFINITY, f64::min)
            };
            let each = rate.replicates.iter().map(|rate| format!("{:.1}", 100.0 * rate)).collect::<Vec<_>>();
            (rate.replicates.len() > 1).then(|| {
                vec![
                    Cell::text(&evalset.title),
                    Cell::text(&variant.name),
                    Cell::text(each.join(", ")),
                    Cell::Number(Some(100.0 * spread(&rate.replicates))),
                ]
            })
        })
    });
    Table {
        name: "replicates".to_owned(),
        title: "Trained again".to_owned(),
        caption: "Exact answers of each replicate, in per cent. Replicates share the stages that the recipe calls shared and \
                  train the others with seeds of their own."
            .to_owned(),
        columns: vec![
            column("evalset", "evalset", Kind::Text),
            column("variant", "variant", Kind::Text),
            column("replicates", "replicates, %", Kind::Text),
            column("spread_points", "largest less smallest, points", Kind::Amount),
        ],
        rows: rows.collect(),
        is_long: false,
    }
}

/// The loss of every stage, of the first replicate where there are several.
fn losses(ablation: &Ablation, results: &Results) -> Figure {
    let mut curves: BTreeMap<&str, Vec<(u64, f64)>> = BTreeMap::new();
    for row in &results.losses {
        curves.entry(&row.stage).or_default().push((row.step as u64, row.loss));
    }
    let mut seen = BTreeSet::new();
    let mut shown = Vec::new();
    for stage in ablation.stages.iter().filter(|stage| stage.replicate == 1) {
        let key = format!("{}-{}", stage.stage, &stage.sha256[..12.min(stage.sha256.len())]);
        let Some(points) = curves.get(key.as_str()) else { continue };
        if seen.insert(key) {
            // Two stages of one name start from different ones.
            let is_alone = shown.iter().all(|(label, _): &(String, _)| *label != stage.stage);
            let label = if is_alone { stage.stage.clone() } else { format!("{} ({})", stage.stage, stage.variant) };
            shown.push((label, points.clone()));
        }
    }
    let named = Named {
        name: "losses",
        title: "Losses of the stages",
        caption: "Mean cross-entropy of the answers' tokens over training, by stage; of vision pre-training that of its labels.",
    };
    loss_curves(named, &shown)
}

/// How each stage was trained. A stage that several variants share is listed once.
fn stages(ablation: &Ablation) -> Table {
    let mut seen = BTreeSet::new();
    let rows = ablation.stages.iter().filter(|stage| seen.insert(stage.sha256.clone())).map(|stage| {
        let users: BTreeSet<&str> = ablation
            .stages
            .iter()
            .filter(|other| other.sha256 == stage.sha256)
            .map(|other| other.variant.as_str())
            .collect();
        vec![
            Cell::text(&stage.stage),
            Cell::text(stage.sha256.get(..12).unwrap_or(&stage.sha256)),
            Cell::text(users.into_iter().collect::<Vec<_>>().join(", ")),
            Cell::text(stage.trainable.replace(';', ", ")),
            Cell::Count(stage.updates),
            Cell::text(stage.seed.to_string()),
            Cell::Number(Some(stage.seconds / 60.0)),
        ]
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let minutes: f64 = rows
        .iter()
        .filter_map(|row| match row.last() {
            Some(Cell::Number(Some(minutes))) => Some(minutes),
            _ => None,
        })
        .sum();
    Table {
        name: "stages".to_owned(),
        title: "The stages".to_owned(),
        caption: format!(
            "What learned, for how many updates, and how long it took on one core beside other work: {:.1} hours in all. The \
             recipes are in inputs/.",
            minutes / 60.0
        ),
        columns: vec![
            column("stage", "stage", Kind::Text),
            column("sha256", "digest", Kind::Text),
            column("variants", "of", Kind::Text),
            column("trainable", "learns", Kind::Text),
            column("updates", "updates", Kind::Count),
            column("seed", "seed", Kind::Text),
            column("minutes", "minutes", Kind::Amount),
        ],
        rows,
        is_long: false,
    }
}
