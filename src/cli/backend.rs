//! Which backend the options of a command ask for.

use std::path::Path;

use super::Console;
use super::endpoint::EndpointArgs;
use super::run_options::ModelOptions;
use crate::backend::Backend;
use crate::backend::http::HttpBackend;
use crate::backend::local::{DeviceChoice, DtypeChoice, LocalBackend, LocalOptions};
use crate::backend::published::PublishedAnswers;
use crate::error::Result;
use crate::owl::processor::template::Template;

/// The model where the user names none.
const DEFAULT_MODEL: &str = "owl-mini";

/// Published answers as a backend.
///
/// # Errors
/// For a file that holds none.
pub fn published(path: &Path, console: &Console) -> Result<Box<dyn Backend>> {
    let published = PublishedAnswers::open(path)?;
    console.note(&format!("{} answers of {}", published.answers().len(), published.model_id()));
    Ok(Box::new(published))
}

/// Opens the backend that is asked for. Must be called inside a runtime.
///
/// # Errors
/// For a model or address that cannot be used. Nothing is sent to an endpoint yet.
pub fn open(model: &ModelOptions, endpoint: &EndpointArgs) -> Result<Box<dyn Backend>> {
    if let Some(config) = endpoint.config(model.model.as_deref())? {
        return Ok(Box::new(HttpBackend::new(&config)?));
    }
    Ok(Box::new(LocalBackend::open(&local_options(model))?))
}

/// The template that the built-in model will be asked in; nothing is fetched for it.
///
/// # Errors
/// For a model or template that is not there.
pub fn template(options: &ModelOptions) -> Result<Template> {
    local_options(options).template()
}

fn local_options(options: &ModelOptions) -> LocalOptions {
    LocalOptions {
        model: options.model.clone().unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
        lora: options.lora.clone(),
        template: options.template.clone(),
        device: options.device.unwrap_or(DeviceChoice::Auto),
        dtype: options.dtype.unwrap_or(DtypeChoice::Auto),
        batch: options.batch.map(|batch| usize::try_from(batch).unwrap_or(usize::MAX)),
    }
}
