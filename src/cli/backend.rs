//! Which backend the options of a command ask for.

use super::Console;
use super::run_options::RunArguments;
use crate::backend::Backend;
use crate::backend::http::HttpBackend;
use crate::backend::local::{DeviceChoice, DtypeChoice, LocalBackend, LocalOptions};
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

/// The template that the built-in model will be asked in; nothing is fetched for it.
///
/// # Errors
/// For a model or template that is not there.
pub fn template(arguments: &RunArguments) -> Result<Template> {
    local_options(arguments).template()
}

fn local_options(arguments: &RunArguments) -> LocalOptions {
    let options = &arguments.model;
    LocalOptions {
        model: options.model.clone().unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
        lora: options.lora.clone(),
        template: options.template.clone(),
        device: options.device.unwrap_or(DeviceChoice::Auto),
        dtype: options.dtype.unwrap_or(DtypeChoice::Auto),
        batch: options.batch.map(|batch| usize::try_from(batch).unwrap_or(usize::MAX)),
    }
}
