//! The loop: one stage from its first update to its last.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::checkpoint::{self, Files, State};
use super::curve::{self, Curve, Row};
use super::data::Split;
use super::data::batch::{Batch, Batches};
use super::lanes::Lanes;
use super::learner::{Learner, MakeWork, Tally, Work};
use super::optimizer::{Gradients, Optimizer};
use super::recipe::Stage;
use crate::error::{Error, IoContext, Result};
use crate::owl::processor::Tokenizer;

/// How many micro-batches are made ahead.
const AHEAD: usize = 3;

/// What the loop needs to know of a stage.
pub struct Session<'a> {
    pub stage: &'a Stage,
    pub files: Files,
    pub recipe_sha256: String,
    pub learner: &'a Learner,
    pub tokenizer: &'a Tokenizer,
    pub lanes: &'a Lanes,
    /// Makes micro-batch (step, part).
    pub work: MakeWork,
    /// Makes batches of held-out examples to ask during training; none in vision pre-training.
    pub asked: Option<&'a Batches>,
    /// Pictures to read during vision pre-training, for each split that is measured.
    pub read: Vec<MakeWork>,
    /// Stop after this many updates, as if killed: for tests of resuming.
    pub stop_after: Option<usize>,
}

/// A line a reader of `log.txt` and of stderr sees.
struct Log {
    file: std::fs::File,
    bar: Option<ProgressBar>,
}

impl Log {
    fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.file, "{line}").map_err(|error| Error::failed(format!("cannot write the log: {error}")))?;
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
        Ok(())
    }
}

/// Sums since the last logged step.
#[derive(Default)]
struct Window {
    loss: f64,
    norm: f64,
    updates: usize,
    tokens: usize,
}

/// Trains a stage from `optimizer`'s number of updates to the end.
pub fn train(session: &Session, optimizer: &mut Optimizer, seconds_before: f64) -> Result<State> {
    let stage = session.stage;
    let begun = Instant::now();
    let first = optimizer.updates();
    let last = session.stop_after.unwrap_or(usize::MAX).min(stage.steps);
    let mut table = Curve::open(&session.files.table(), first)?;
    let log_path = session.files.log();
    let file =
        std::fs::OpenOptions::new().create(true).append(true).open(&log_path).or_at("cannot write", &log_path)?;
    let bar = std::io::stderr().is_terminal().then(|| progress_bar(stage, first));
    let mut log = Log { file, bar };
    let weights: usize = optimizer.variables().values().map(|var| var.elem_count()).sum();
    log.say(&format!("stage {}: {weights} weights learn, updates {first} to {last}", stage.name))?;

    let state = |step: usize| State {
        schema: 1,
        stage: stage.name.clone(),
        step,
        steps: stage.steps,
        finished: step >= stage.steps,
        recipe_sha256: session.recipe_sha256.clone(),
        seconds: seconds_before + begun.elapsed().as_secs_f64(),
    };
    let result = std::thread::scope(|scope| -> Result<()> {
        let (sender, receiver) = sync_channel(AHEAD);
        let make = session.work.clone();
        let parts = stage.accumulate;
        scope.spawn(move || {
            // A closed channel means that the loop has stopped.
            for step in first..last {
                for part in 0..parts {
                    if sender.send(make(step, part)).is_err() {
                        return;
                    }
                }
            }
        });
        let mut window = Window::default();
        let mut since = Instant::now();
        for step in first..last {
            let rate = stage.schedule().rate(step);
            let (loss, norm, tokens) = update(session, optimizer, &receiver, step, rate)?;
            window.loss += loss;
            window.norm += norm;
            window.tokens += tokens;
            window.updates += 1;
            let done = step + 1;
            if let Some(bar) = &log.bar {
                bar.set_position(done as u64);
                bar.set_message(format!("loss {loss:.3}"));
            }
            if done % stage.log_every == 0 || done == last {
                let seconds = since.elapsed().as_secs_f64().max(1e-9);
                let updates = window.updates as f64;
                let row = Row {
                    step: done,
                    loss: window.loss / updates,
                    lr: rate,
                    grad_norm: window.norm / updates,
                    tokens_per_second: window.tokens as f64 / seconds,
                };
                table.push(&row)?;
                let Row { loss, lr, grad_norm, tokens_per_second, .. } = row;
                log.say(&format!(
                    "{done:>6}/{}  loss {loss:.4}  lr {lr:.2e}  norm {grad_norm:.2}  {tokens_per_second:.0} tokens/s  \
                     {:.0} ms/update  {:.0} s",
                    stage.steps,
                    1e3 * seconds / updates,
                    begun.elapsed().as_secs_f64(),
                ))?;
                window = Window::default();
                since = Instant::now();
            }
            if stage.sample_every > 0 && (done % stage.sample_every == 0 || done == last) {
                ask(session, &mut log, done)?;
                since = Instant::now();
            }
            if stage.checkpoint_every > 0 && done % stage.checkpoint_every == 0 && done < last {
                checkpoint::save(&session.files, optimizer, &state(done))?;
            }
        }
        Ok(())
    });
    if let Some(bar) = &log.bar {
        bar.finish_and_clear();
    }
    result?;
    let state = state(optimizer.updates());
    checkpoint::save(&session.files, optimizer, &state)?;
    curve::draw(&session.files.table(), &session.files.curve(), &format!("{}: loss", stage.name))?;
    Ok(state)
}

fn progress_bar(stage: &Stage, first: usize) -> ProgressBar {
    let bar = ProgressBar::new(stage.steps as u64).with_position(first as u64).with_prefix(stage.name.clone());
    match ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {msg} ({eta} left)") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// One update; returns the mean loss of its micro-batches, the gradient's norm and the number of tokens.
///
/// The micro-batches are computed side by side, a thread each: one small graph gains next to nothing from a second
/// core, two graphs gain nearly all of it. Their gradients are added in order, so the result is always the same.
fn update(
    session: &Session,
    optimizer: &mut Optimizer,
    receiver: &Receiver<Result<Work>>,
    step: usize,
    rate: f64,
) -> Result<(f64, f64, usize)> {
    let stage = session.stage;
    let works = (0..stage.accumulate)
        .map(|_| receiver.recv().map_err(|_| Error::failed("the thread that makes batches has stopped"))?)
        .collect::<Result<Vec<Work>>>()?;
    let results = session.lanes.map(&works, |work| {
        let loss = work.loss(session.learner)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        if !value.is_finite() {
            return Err(not_finite(stage, step, "loss", value, &work.samples()));
        }
        Ok((value, loss.backward()?))
    });
    let mut gradients = Gradients::default();
    let mut sum = 0f64;
    for result in results {
        let (value, mut found) = result?;
        gradients.add(optimizer.variables(), &mut found)?;
        sum += value;
    }
    let tokens = works.iter().map(Work::tokens).sum();
    let norm = optimizer.step(&gradients, rate)?;
    if !norm.is_finite() {
        let samples: Vec<String> = works.iter().map(Work::samples).collect();
        return Err(not_finite(stage, step, "gradient's norm", norm, &samples.join(", ")));
    }
    Ok((sum / stage.accumulate as f64, norm, tokens))
}

/// The refusal of an update whose loss or gradient is no number. Nothing was changed by it: the last checkpoint is
/// good.
fn not_finite(stage: &Stage, step: usize, what: &str, value: f64, samples: &str) -> Error {
    let message = format!("stage {:?}, update {}: the {what} is {value}; samples: {samples}", stage.name, step + 1);
    Error::failed(message).remedy(
        "lower lr or clip, or take the sample out; the last checkpoint is good and `--resume` carries on from it",
    )
}

/// What a log calls the splits that are measured during training.
pub const MEASURED: [(Split, &str); 2] = [(Split::HeldOut, "held-out"), (Split::HeldOutPairs, "held-out pairs")];

/// Asks the model questions that it does not learn from, and logs how many answers are exact.
fn ask(session: &Session, log: &mut Log, done: usize) -> Result<()> {
    let generated = session.stage.data.file.is_none();
    let splits = if generated { &MEASURED[..] } else { &MEASURED[..1] };
    for (index, (split, name)) in splits.iter().enumerate() {
        let mut tally = Tally::new();
        if let Some(read) = session.read.get(index) {
            let Work::Pictures(pictures) = read(0, 0)? else { return Ok(()) };
            for (head, right, all) in session.learner.read_labels(&pictures)?.right {
                tally.insert(head.to_owned(), (right, all));
            }
        }
        if let Some(batches) = session.asked {
            let count = session.stage.samples;
            let size = session.stage.batch.max(1);
            for first in (0..count).step_by(size) {
                let batch = batches.make(*split, first as u64, size.min(count - first))?;
                let predictions = session.learner.exact_answers(&batch, &mut tally)?;
                if first == 0 && index == 0 {
                    show(session, log, &batch, &predictions)?;
                }
            }
        }
        let (right, all) = tally.values().fold((0, 0), |sum, entry| (sum.0 + entry.0, sum.1 + entry.1));
        let share = |(right, all): (usize, usize)| 100.0 * right as f64 / all.max(1) as f64;
        let kinds = tally.iter().map(|(kind, entry)| format!("{kind} {:.0}", share(*entry))).collect::<Vec<_>>();
        let kinds = kinds.join("  ");
        log.say(&format!("{done:>6} {name}: {:.1} % of {all} exact   {kinds}", share((right, all))))?;
    }
    Ok(())
}

/// A few questions with the answers given and expected.
fn show(session: &Session, log: &mut Log, batch: &Batch, predictions: &[u32]) -> Result<()> {
    let text = |ids: &[u32]| session.tokenizer.decode(ids);
    for answer in batch.answers.iter().take(4) {
        let (said, expected) = (&predictions[answer.targets.clone()], &batch.targets[answer.targets.clone()]);
        let mark = if said == expected { "=" } else { "≠" };
        log.say(&format!("         {}: {:?} {mark} {:?}", answer.kind, text(said), text(expected)))?;
    }
    Ok(())
}

/// The folder of a stage, made if need be.
pub fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).or_at("cannot make the folder", path)
}
