//! Which backend the options of a command ask for.

use std::time::Duration;

use super::Console;
use super::run_options::RunArguments;
use crate::backend::Backend;
use crate::backend::http::{HttpBackend, HttpConfig, Vision};
use crate::backend::published::PublishedAnswers;
use crate::error::{Error, Result};
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
    if arguments.endpoint.endpoint.is_some() {
        return Ok(Box::new(HttpBackend::new(&http_config(arguments)?)?));
    }
    built_in(arguments, console)
}

/// The template of the built-in model.
pub fn template(arguments: &RunArguments) -> Result<Template> {
    let default = match model_name(arguments) {
        DEFAULT_MODEL => "mini",
        _ => "readme",
    };
    Template::load(arguments.model.template.as_deref().unwrap_or(default))
}

fn model_name(arguments: &RunArguments) -> &str {
    arguments.model.model.as_deref().unwrap_or(DEFAULT_MODEL)
}

fn http_config(arguments: &RunArguments) -> Result<HttpConfig> {
    let options = &arguments.endpoint;
    let (Some(address), Some(model)) = (&options.endpoint, &arguments.model.model) else {
        return Err(Error::input("an endpoint needs the name of a model").remedy("give it with --model"));
    };
    let mut config = HttpConfig::new(address.as_str(), model.as_str());
    config.api_key_env = options.api_key_env.clone();
    config.concurrency = usize::try_from(options.concurrency).unwrap_or(usize::MAX);
    config.requests_per_minute = options.requests_per_minute;
    config.tokens_per_minute = options.tokens_per_minute;
    config.total_timeout = Duration::from_secs(options.timeout);
    config.read_timeout = config.total_timeout;
    config.retry.max_attempts = options.attempts;
    if options.no_vision {
        config.vision = Vision::No;
    }
    Ok(config)
}

// THE ONE PLACE where the built-in model is to be opened:
//     let options = LocalOptions { model: model_name(arguments), lora, template, device, dtype, batch, … };
//     Ok(Box::new(crate::backend::local::LocalBackend::open(&options)?))
fn built_in(arguments: &RunArguments, _console: &Console) -> Result<Box<dyn Backend>> {
    Err(Error::input(format!("the model {} cannot be opened: the built-in model is missing", model_name(arguments)))
        .remedy("use --endpoint URL --model NAME, or --answers FILE"))
}
