//! Which backend the options of `owleval run` ask for.

use std::path::Path;

use super::Console;
use super::run_options::{RunArguments, count};
use crate::backend::Backend;
use crate::backend::http::HttpBackend;
use crate::backend::local::{LocalBackend, LocalOptions};
use crate::backend::published::PublishedAnswers;
use crate::error::Result;
use crate::owl::processor::template::Template;

/// The model where the user names none.
const DEFAULT_MODEL: &str = "owl-mini";

/// Opens the backend that is asked for. Must be called inside a runtime.
///
/// # Errors
/// For a model, file or address that cannot be used. Nothing is sent to an endpoint yet.
pub fn open(arguments: &RunArguments, console: &Console) -> Result<Box<dyn Backend>> {
    if let Some(path) = &arguments.model.answers {
        let published = PublishedAnswers::open(path)?;
        console.note(&format!("{} answers of {}", published.answers().len(), published.model_id()));
        return Ok(Box::new(published));
    }
    if let Some(config) = arguments.endpoint.config(arguments.model.model.as_deref())? {
        return Ok(Box::new(HttpBackend::new(&config)?));
    }
    Ok(Box::new(LocalBackend::open(&local_options(arguments))?))
}

/// The options of the built-in model.
fn local_options(arguments: &RunArguments) -> LocalOptions {
    let model = &arguments.model;
    let mut options = LocalOptions::new(model_name(arguments));
    options.lora = model.lora.clone();
    options.template = model.template.clone();
    options.device = model.device.unwrap_or(options.device);
    options.dtype = model.dtype.unwrap_or(options.dtype);
    options.batch = model.batch.map(count);
    options
}

/// The template of the built-in model, without loading the model: the one that was asked for, else the model's own,
/// else the reference's.
pub fn template(arguments: &RunArguments) -> Result<Template> {
    let model = model_name(arguments);
    let own = Path::new(model).join("template.toml");
    match &arguments.model.template {
        Some(name) => Template::load(name),
        None if model == DEFAULT_MODEL => Template::load("mini"),
        None if own.is_file() => Template::load(&own.to_string_lossy()),
        None => Template::load("readme"),
    }
}

fn model_name(arguments: &RunArguments) -> &str {
    arguments.model.model.as_deref().unwrap_or(DEFAULT_MODEL)
}
