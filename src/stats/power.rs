//! How much to grade: the chance to see a difference, by simulation on the real clusters, before anyone grades.

use rayon::prelude::*;

use super::clusters::Mean;
use super::distribution::normal_quantile;
use super::estimate::{Estimate, LEVEL};
use super::random::{Purpose, Stream};
use super::rates::wilson;
use super::sign_flip::sign_flip;
use crate::error::{Error, Result};

/// What is to be graded: two models answer the same questions, and each answer succeeds (A or B) or not.
///
/// Successes follow a Gaussian copula: model m succeeds at question i of picture c where
/// √ρ z_c + √(1 − ρ) e_mi < Φ⁻¹(rate of m), all z and e standard normal. The picture's z_c is shared by its questions and
/// by both models, because a hard picture is hard for everyone. ρ is the correlation of the latent values, not of the
/// successes (whose correlation is about 0.64 ρ at rates near one half).
///
/// For OwlEval (82 questions of 50 pictures), rate 0.6, ρ = 0.3 and differences of 0.10, 0.15 and 0.20 the test's mid-p
/// finds 0.29, 0.60 and 0.85 of them; its exact p, which few clusters make too careful, 0.23, 0.52 and 0.80. Beta-binomial
/// pictures with the same ρ between successes give less where the models' pictures are independent (0.14, 0.35, 0.60)
/// and more where they share a quantile (exact p: 0.27, 0.58, 0.86).
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// Questions of each picture.
    pub sizes: Vec<usize>,
    /// The rate of success of the first model.
    pub rate: f64,
    /// ρ.
    pub correlation: f64,
}

/// The share of simulated studies in which the paired permutation test over pictures ([`sign_flip`]) rejects at 5 %,
/// each with Wilson's interval of the simulation's own error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    /// By the exact p-value, which reports decide by.
    pub exact: Estimate,
    /// By the mid-p-value.
    pub mid_p: Estimate,
}

impl Design {
    /// The power to see that the second model's rate is higher by `difference`, from so many simulated studies.
    ///
    /// # Errors
    ///
    /// A rate outside (0, 1), ρ outside [0, 1), no question or no study.
    pub fn power(&self, difference: f64, studies: usize, seed: u64) -> Result<Power> {
        let rates = [self.rate, self.rate + difference];
        if let Some(rate) = rates.iter().find(|rate| !(**rate > 0.0 && **rate < 1.0)) {
            return Err(Error::input(format!("a model cannot succeed at a rate of {rate}"))
                .remedy("choose a rate and a difference that stay between 0 and 1"));
        }
        if !(0.0..1.0).contains(&self.correlation) {
            return Err(Error::input(format!("a correlation of {} within a picture", self.correlation))
                .remedy("choose one from 0 to below 1"));
        }
        if self.sizes.iter().sum::<usize>() == 0 || studies == 0 {
            return Err(Error::input("a study without questions, or no study, has no power")
                .remedy("give the number of questions of each picture, and one study or more"));
        }
        let rejections: Vec<(bool, bool)> = (0..studies as u64)
            .into_par_iter()
            .map(|study| {
                let mut stream = Stream::new(Purpose::Power, seed, study);
                let mut differences = Mean::new(self.sizes.len());
                for (cluster, question) in successes(&mut stream, &self.sizes, rates, self.correlation) {
                    differences.add(cluster, f64::from(u8::from(question[1])) - f64::from(u8::from(question[0])))?;
                }
                // Differences are whole numbers: the test is exact and draws nothing.
                let test = sign_flip(&differences, 0, 0);
                let rejects = |p: f64| p <= 1.0 - LEVEL;
                Ok(test.map_or((false, false), |test| (rejects(test.p_value), rejects(test.mid_p))))
            })
            .collect::<Result<_>>()?;
        let share = |count: usize| wilson(count as f64, studies).map_err(|why| Error::failed(why.to_string()));
        Ok(Power {
            exact: share(rejections.iter().filter(|(exact, _)| *exact).count())?,
            mid_p: share(rejections.iter().filter(|(_, mid)| *mid).count())?,
        })
    }

    /// The same kind of pictures, so many of them: the sizes are repeated in their order, or cut.
    pub fn with_pictures(&self, pictures: usize) -> Self {
        Self { sizes: self.sizes.iter().copied().cycle().take(pictures).collect(), ..self.clone() }
    }

    /// How many pictures see this difference with this power (by the exact p), between the design's own number and forty
    /// times it; `None` where even those are too few.
    pub fn pictures_for(&self, difference: f64, power: f64, studies: usize, seed: u64) -> Result<Option<usize>> {
        let reaches = |pictures: usize| {
            Ok::<_, Error>(self.with_pictures(pictures).power(difference, studies, seed)?.exact.point >= power)
        };
        let (mut too_few, mut enough) = (0, self.sizes.len());
        while !reaches(enough)? {
            if enough >= 40 * self.sizes.len() {
                return Ok(None);
            }
            (too_few, enough) = (enough, (2 * enough).min(40 * self.sizes.len()));
        }
        if too_few == 0 {
            return Ok(Some(enough));
        }
        // The simulation's own error is larger than the last few pictures.
        while enough - too_few > self.sizes.len().div_ceil(10) {
            let middle = too_few.midpoint(enough);
            if reaches(middle)? { enough = middle } else { too_few = middle }
        }
        Ok(Some(enough))
    }
}

/// Simulated successes of so many models: (cluster, one success a model) of every question.
pub(super) fn successes<const MODELS: usize>(
    stream: &mut Stream,
    sizes: &[usize],
    rates: [f64; MODELS],
    correlation: f64,
) -> Vec<(usize, [bool; MODELS])> {
    let thresholds = rates.map(normal_quantile);
    let (shared, own) = (correlation.sqrt(), (1.0 - correlation).sqrt());
    let mut questions = Vec::with_capacity(sizes.iter().sum());
    for (cluster, &size) in sizes.iter().enumerate() {
        let picture = stream.normal();
        for _ in 0..size {
            questions.push((cluster, thresholds.map(|threshold| shared * picture + own * stream.normal() < threshold)));
        }
    }
    questions
}
