//! Models in one order, from comparisons of pairs: P(i beats j) = 1/(1 + exp(θ_j − θ_i)).

use super::clusters::{ClusterSums, Draws, percentile_interval};
use super::estimate::{Estimate, Method, Undefined};
use crate::error::{Error, Result};

/// Who was better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    First,
    Second,
    /// Half a win for each.
    Tie,
}

/// Comparisons of answers to the same question, by cluster.
#[derive(Debug, Clone)]
pub struct Contests {
    names: Vec<String>,
    /// Wins of the row's model over the column's, row after row.
    sums: ClusterSums,
    n: usize,
}

impl Contests {
    /// The models by name; messages show the names.
    pub fn new(names: Vec<String>, clusters: usize) -> Self {
        let cells = names.len() * names.len();
        Self { names, sums: ClusterSums::zeros(clusters, cells), n: 0 }
    }

    /// Adds a comparison of two different models.
    pub fn add(&mut self, cluster: usize, first: usize, second: usize, outcome: Outcome) -> Result<()> {
        let models = self.names.len();
        if first == second || first.max(second) >= models {
            return Err(Error::input(format!("no comparison: model {first} with {second} of {models}, from 0")));
        }
        let won = match outcome {
            Outcome::First => 1.0,
            Outcome::Second => 0.0,
            Outcome::Tie => 0.5,
        };
        let row = self.sums.row(cluster)?;
        row[first * models + second] += won;
        row[second * models + first] += 1.0 - won;
        self.n += 1;
        Ok(())
    }

    /// The strengths θ of greatest likelihood, in the order of the models, with mean 0; ties count as half a win for
    /// each. A difference of θ is a logarithm of odds; 400/ln 10 times it is Elo's scale.
    ///
    /// Source: Bradley and Terry, Biometrika 39 (1952); existence: Ford, American Mathematical Monthly 64 (1957).
    ///
    /// # Errors
    ///
    /// The comparisons do not connect all models, or some models never lost (or never drew) against the others: then
    /// no finite strengths have the greatest likelihood. The message names the groups.
    pub fn fit(&self) -> Result<Vec<f64>> {
        let models = self.names.len();
        let wins = self.sums.total();
        let met = |a: usize, b: usize| wins[a * models + b] + wins[b * models + a] > 0.0;
        let parts = components(models, met);
        if parts.len() > 1 {
            return Err(Error::input(format!("the comparisons do not connect all models: {}", self.listed(&parts)))
                .remedy("compare models of different groups, on questions that both have answered"));
        }
        if let Some(better) = never_beaten(models, &wins) {
            let others = (0..models).filter(|model| !better.contains(model)).collect();
            return Err(Error::input(format!(
                "no finite strengths: one group of models never lost a point to the other: {}",
                self.listed(&[better, others])
            ))
            .remedy("add comparisons, or give the order of the groups without strengths"));
        }
        strengths(models, &wins, &vec![0.0; models])
            .ok_or_else(|| Error::failed("the strengths of the models did not converge"))
    }

    /// Strengths with cluster bootstrap intervals, from the strengths that [`fit`](Self::fit) found. Resamples in which
    /// there are no finite strengths are undefined.
    pub fn bootstrap(&self, strengths_of_all: &[f64], draws: &Draws) -> Result<Vec<Estimate>, Undefined> {
        let models = self.names.len();
        if strengths_of_all.len() != models {
            return Err(Undefined::Empty);
        }
        let resampled = draws.map(&self.sums, |wins| {
            if never_beaten(models, wins).is_some() { None } else { strengths(models, wins, strengths_of_all) }
        })?;
        strengths_of_all
            .iter()
            .enumerate()
            .map(|(model, &point)| {
                let values = resampled.iter().map(|strengths| strengths.as_ref().map(|strengths| strengths[model]));
                let (low, high, undefined) = percentile_interval(values, draws.resamples())?;
                let clusters = self.sums.clusters();
                let method = Method::ClusterBootstrap { clusters, resamples: draws.resamples(), undefined };
                Ok(Estimate { point, low, high, n: self.n, method })
            })
            .collect()
    }

    /// `{a, b} | {c}`
    fn listed(&self, groups: &[Vec<usize>]) -> String {
        let name = |model: &usize| self.names.get(*model).map_or("?", String::as_str);
        let groups: Vec<String> = groups
            .iter()
            .map(|group| format!("{{{}}}", group.iter().map(name).collect::<Vec<_>>().join(", ")))
            .collect();
        groups.join(" | ")
    }
}

/// The models that can be reached from `start`, in the order of their numbers.
fn reached(models: usize, start: usize, leads: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut seen = vec![false; models];
    let mut open = vec![start];
    while let Some(model) = open.pop() {
        if !std::mem::replace(&mut seen[model], true) {
            open.extend((0..models).filter(|other| !seen[*other] && leads(model, *other)));
        }
    }
    (0..models).filter(|model| seen[*model]).collect()
}

/// The connected parts of a symmetric relation.
fn components(models: usize, met: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for model in 0..models {
        if !parts.iter().any(|part| part.contains(&model)) {
            parts.push(reached(models, model, &met));
        }
    }
    parts
}

/// A group of models, not all of them, that lost no point to any other, where there is one: Ford's condition fails.
fn never_beaten(models: usize, wins: &[f64]) -> Option<Vec<usize>> {
    let beaten_by = |model: usize, other: usize| wins[other * models + model] > 0.0;
    // Who can be reached over defeats from a model is closed: nobody outside beat anyone inside.
    (0..models).map(|start| reached(models, start, beaten_by)).find(|group| group.len() < models)
}

/// Newton's method on the logarithm of the likelihood, which is concave; `None` where it does not converge.
fn strengths(models: usize, wins: &[f64], start: &[f64]) -> Option<Vec<f64>> {
    const STEPS: usize = 200;
    let contests: f64 = wins.iter().sum();
    let mut theta = start.to_vec();
    for _ in 0..STEPS {
        let mut gradient = vec![0.0; models];
        // Adding 1 everywhere fixes the mean, which the likelihood leaves open, and changes no step.
        let mut curvature = vec![1.0; models * models];
        for i in 0..models {
            for j in i + 1..models {
                let (won, lost) = (wins[i * models + j], wins[j * models + i]);
                let met = won + lost;
                if met > 0.0 {
                    let chance = 1.0 / (1.0 + libm::exp(theta[j] - theta[i]));
                    let (surprise, spread) = (won - met * chance, met * chance * (1.0 - chance));
                    gradient[i] += surprise;
                    gradient[j] -= surprise;
                    curvature[i * models + i] += spread;
                    curvature[j * models + j] += spread;
                    curvature[i * models + j] -= spread;
                    curvature[j * models + i] -= spread;
                }
            }
        }
        if gradient.iter().all(|slope| slope.abs() <= 1e-12 * contests) {
            let mean = theta.iter().sum::<f64>() / models as f64;
            return Some(theta.iter().map(|strength| strength - mean).collect());
        }
        let step = solved(models, curvature, gradient)?;
        // A long step leaves the region in which the quadratic holds.
        let longest = step.iter().fold(1.0_f64, |longest, part| longest.max(part.abs()));
        for (strength, part) in theta.iter_mut().zip(&step) {
            *strength += part / longest;
        }
    }
    None
}

/// The solution of a symmetric, positive definite system, by Cholesky's method; `None` where it is not definite.
fn solved(size: usize, mut matrix: Vec<f64>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    for i in 0..size {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| matrix[i * size + k] * matrix[j * size + k]).sum();
            let rest = matrix[i * size + j] - dot;
            if i == j {
                if rest.is_nan() || rest <= 0.0 {
                    return None;
                }
                matrix[i * size + i] = rest.sqrt();
            } else {
                matrix[i * size + j] = rest / matrix[j * size + j];
            }
        }
    }
    for i in 0..size {
        let dot: f64 = (0..i).map(|k| matrix[i * size + k] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i * size + i];
    }
    for i in (0..size).rev() {
        let dot: f64 = (i + 1..size).map(|k| matrix[k * size + i] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i * size + i];
    }
    Some(right)
}
