//! Every trained model answers every evalset, into run folders as `owleval run` makes them.

use std::path::{Path, PathBuf};

use super::plan::{Asked, Plan, Variant};
use crate::backend::local::{LocalBackend, LocalOptions};
use crate::backend::{Backend as _, Decoding};
use crate::error::{Error, Result};
use crate::evalset::{EvalSet, Selection};
use crate::record::{EvalSetId, RunManifest, SelectionId};
use crate::runner::{self, Ended, Event, Past, stop::stop_button};
use crate::store::RunFolder;

/// Answers are single words or short lists.
const MAX_NEW_TOKENS: usize = 32;

/// The folder of a drawn evalset, or the name of one that is built in.
pub fn place(asked: &Asked, out: &Path) -> PathBuf {
    if asked.draw.is_some() { out.join("evalsets").join(&asked.name) } else { PathBuf::from(&asked.name) }
}

/// Draws the evalsets that are to be drawn; one that is there is left.
///
/// # Errors
/// Where a file cannot be written.
pub fn draw(plan: &Plan, out: &Path) -> Result<()> {
    for asked in &plan.settings.evalsets {
        let Some(set) = asked.drawn() else { continue };
        let folder = place(asked, out);
        if !folder.join("evalset.toml").exists() {
            set.write(&folder)?;
        }
    }
    Ok(())
}

/// The folder of a model's answers to an evalset.
pub fn run_folder(out: &Path, variant: &Variant, replicate: u64, asked: &Asked) -> PathBuf {
    out.join("runs").join(format!("{}-{}", model_name(variant, replicate), asked.name))
}

/// What a replicate of a variant is called; they are counted from 1.
pub fn model_name(variant: &Variant, replicate: u64) -> String {
    format!("{}-{}", variant.name, replicate + 1)
}

/// Asks a model what of an evalset it has not answered yet.
///
/// # Errors
/// Where model or evalset cannot be read, or a question fails.
pub fn answer(model: &Path, asked: &Asked, out: &Path, run: &Path, show: &mut dyn FnMut(Event<'_>)) -> Result<()> {
    let evalset = EvalSet::open(place(asked, out))?;
    let selection = Selection::default();
    let selected = selection.pick(&evalset)?;
    let backend = LocalBackend::open(&LocalOptions::new(model.to_string_lossy()))?;
    let decoding = Decoding { max_new_tokens: MAX_NEW_TOKENS, ..Decoding::default() };
    let past = Past::Own;
    let manifest = RunManifest::new(
        backend.info(),
        EvalSetId { name: evalset.name.clone(), sha256: evalset.sha256.clone() },
        decoding.clone(),
        past.record(),
        SelectionId::from(&selection),
        runner::now(),
    );
    let mut folder = RunFolder::create_or_resume(run, manifest)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|source| Error::failed("cannot start the runtime").source(source))?;
    // Nobody presses it: to be interrupted at any time is what the folder is made for.
    let (_button, stop) = stop_button();
    let plan = runner::Plan { evalset: &evalset, selected: &selected, decoding: &decoding, past: &past };
    let outcome = runtime.block_on(runner::run(plan, &backend, &mut folder, stop, show))?;
    let counts = folder.manifest().counts;
    match outcome.ended {
        Ended::Complete if counts.answered == counts.questions => Ok(()),
        Ended::GivenUp { message } => Err(Error::failed(message).at(run)),
        _ => Err(Error::failed(format!(
            "{} of {} answers are missing",
            counts.questions - counts.answered,
            counts.questions
        ))
        .at(run)
        .remedy("failures.jsonl says why; the same command asks again")),
    }
}
