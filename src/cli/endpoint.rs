//! The options of whoever asks a server: `--endpoint` and how it is asked.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use crate::backend::http::{DEFAULT_KEY_VARIABLE, HttpConfig, Vision};
use crate::error::{Error, Result};

/// An OpenAI-compatible server and how it is asked; `--model` is the command's own.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Endpoint")]
pub struct EndpointArgs {
    /// Ask an OpenAI-compatible server instead of the built-in model (http://HOST:PORT, with or without /v1)
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,

    /// The environment variable that holds the server's key; the key itself is never written anywhere
    #[arg(long, value_name = "VAR", default_value = DEFAULT_KEY_VARIABLE)]
    pub api_key_env: String,

    /// Requests under way at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub concurrency: u32,

    /// Requests a minute at most, repeated attempts included
    #[arg(long, value_name = "N")]
    pub requests_per_minute: Option<NonZeroU32>,

    /// Tokens a minute at most, of prompts and answers together
    #[arg(long, value_name = "N")]
    pub tokens_per_minute: Option<NonZeroU32>,

    /// Seconds that one attempt may take, from connecting to the last byte of the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,

    /// Attempts at a question, the first included
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub max_attempts: u32,

    /// Send no pictures: questions that show one fail by themselves
    #[arg(long)]
    pub no_vision: bool,
}

impl EndpointArgs {
    /// The configuration for a model of the server; `None` without `--endpoint`.
    ///
    /// # Errors
    /// Where `--endpoint` is given without a model's name.
    pub fn config(&self, model: Option<&str>) -> Result<Option<HttpConfig>> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        let model = model.ok_or_else(|| {
            Error::input("--endpoint needs the name of a model").remedy("give it with --model, as the server knows it")
        })?;
        let timeout = Duration::from_secs(self.timeout);
        let mut config = HttpConfig::new(endpoint, model);
        config.api_key_env = self.api_key_env.clone();
        config.concurrency = self.concurrency as usize;
        config.requests_per_minute = self.requests_per_minute;
        config.tokens_per_minute = self.tokens_per_minute;
        config.connect_timeout = config.connect_timeout.min(timeout);
        config.read_timeout = timeout;
        config.total_timeout = timeout;
        config.retry.max_attempts = self.max_attempts;
        config.vision = if self.no_vision { Vision::No } else { Vision::Auto };
        Ok(Some(config))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        endpoint: EndpointArgs,
    }

    fn parse(arguments: &[&str]) -> Result<EndpointArgs, clap::Error> {
        Command::try_parse_from([&["owleval"], arguments].concat()).map(|command| command.endpoint)
    }

    #[test]
    fn without_an_endpoint_there_is_nothing_to_ask() {
        assert_eq!(parse(&[]).expect("arguments").config(Some("owl")).expect("a configuration"), None);
    }

    #[test]
    fn the_defaults_are_those_of_the_client() {
        let config = parse(&["--endpoint", "host:1"]).expect("arguments").config(Some("owl")).expect("a configuration");
        assert_eq!(config, Some(HttpConfig::new("host:1", "owl")));
    }

    #[test]
    fn every_option_reaches_the_configuration() {
        let arguments = "--endpoint host:1 --api-key-env KEY --concurrency 9 --requests-per-minute 60 \
                         --tokens-per-minute 5000 --timeout 5 --max-attempts 2 --no-vision";
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let config = parse(&arguments).expect("arguments").config(Some("owl")).expect("a configuration");
        let config = config.expect("an endpoint");
        assert_eq!((config.api_key_env.as_str(), config.concurrency, config.vision), ("KEY", 9, Vision::No));
        assert_eq!(config.requests_per_minute.map(NonZeroU32::get), Some(60));
        assert_eq!(config.tokens_per_minute.map(NonZeroU32::get), Some(5000));
        assert_eq!(config.connect_timeout, Duration::from_secs(5));
        assert_eq!((config.read_timeout, config.total_timeout), (config.connect_timeout, config.connect_timeout));
        assert_eq!(config.retry.max_attempts, 2);
    }

    #[test]
    fn an_endpoint_needs_a_model_and_sensible_numbers() {
        let arguments = parse(&["--endpoint", "host:1"]).expect("arguments");
        assert_eq!(arguments.config(None).expect_err("no model").exit_code(), 2);
        for bad in [["--concurrency", "0"], ["--requests-per-minute", "0"], ["--timeout", "0"], ["--max-attempts", "x"]]
        {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}
