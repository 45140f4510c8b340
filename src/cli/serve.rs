//! `owleval serve`: a model behind an OpenAI-compatible endpoint, with a page to try it on.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::endpoint::EndpointArgs;
use super::run_options::{DecodingOptions, ModelOptions};
use super::{Console, backend, signals};
use crate::error::{Error, Result};
use crate::runner::stop::StopLevel;
use crate::serve;

/// Serve a model: an OpenAI-compatible endpoint, and a page to try it on
///
/// The page asks with any number of pictures, several turns, in a browser. `owleval run --endpoint` and any client of
/// OpenAI's chat completions can ask too; pictures come as data URIs, nothing is fetched and nothing is kept. With
/// --endpoint, the page and the address stand before another server. Ctrl-C answers what is in flight and ends.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArguments {
    /// Where to listen; other machines reach it only at an address that is not 127.0.0.1
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    endpoint: EndpointArgs,
    #[command(flatten)]
    decoding: DecodingOptions,
}

/// Runs the command.
pub fn run(arguments: &ServeArguments, console: &Console) -> Result<()> {
    let runtime = super::runtime()?;
    let _entered = runtime.enter();
    let backend = backend::open(&arguments.model, &arguments.endpoint)?;
    let name = backend.info().id;
    let decoding = arguments.decoding.decoding();
    runtime.block_on(async {
        let listener = TcpListener::bind(arguments.listen).await.map_err(|source| {
            Error::input(format!("cannot listen at {}", arguments.listen))
                .source(source)
                .remedy("give another --listen, or port 0 for any that is free")
        })?;
        let address = listener.local_addr().map_err(|source| Error::failed("no address").source(source))?;
        let mut stop = signals::stop_on_signals()?;
        let mut gone = stop.clone();
        console.print(&format!("{name} at http://{address}/ and http://{address}/v1"));
        let ended = serve::serve(listener, backend, decoding, async move {
            stop.raised_above(StopLevel::Go).await;
        });
        tokio::select! {
            ended = ended => ended,
            _ = gone.raised_above(StopLevel::Finish) => Ok(()),
        }
    })
}
