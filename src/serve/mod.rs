//! A model behind an OpenAI-compatible endpoint, with a page to try it on.
//!
//! `GET /` is the page, `GET /v1/models` names the model, `POST /v1/chat/completions` asks it (`wire`). Requests that come
//! together are decoded together where the backend can. Nothing is kept and nothing is fetched: pictures come within the
//! request.

pub mod wire;

use std::future::{Future, IntoFuture as _};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, http};
use minijinja::HtmlEscape;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::backend::{Backend, Decoding, FailureKind};
use crate::error::{Error, Result};
use wire::{Asked, Refused};

/// A request of more bytes is refused: a picture of the largest size in base64, and half as much again.
const LARGEST_REQUEST: usize = 128 << 20;

const PAGE: &str = include_str!("../../templates/serve/index.html");

/// What a request needs.
struct Served {
    backend: Box<dyn Backend>,
    /// How answers are drawn where a request does not say.
    decoding: Decoding,
}

/// Answers requests until `stop`, then what is in flight.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    listener: TcpListener,
    backend: Box<dyn Backend>,
    decoding: Decoding,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let served = Arc::new(Served { backend, decoding });
    let router = Router::new()
        .route("/", get(page))
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(complete))
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(served);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .into_future()
        .await
        .map_err(|source| Error::failed("the server has failed").source(source))
}

/// The page asks this very server and no other, and shows pictures that the browser itself holds.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                           img-src data: blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

async fn page(State(served): State<Arc<Served>>) -> Response {
    let name = HtmlEscape(&served.backend.info().id).to_string();
    let mut response = Html(PAGE.replace("{{ model }}", &name)).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response
}

async fn models(State(served): State<Arc<Served>>) -> Response {
    let model = json!({"id": served.backend.info().id, "object": "model", "created": 0, "owned_by": "owleval"});
    answer(StatusCode::OK, &json!({"object": "list", "data": [model]}))
}

async fn nothing_here(method: http::Method, uri: http::Uri) -> Response {
    let message = format!("there is no {method} {}; ask POST /v1/chat/completions", uri.path());
    refusal(&Refused { status: 404, message })
}

async fn complete(State(served): State<Arc<Served>>, body: Bytes) -> Response {
    let asked = match Asked::read(&body, &served.decoding) {
        Ok(asked) => asked,
        Err(refused) => return refusal(&refused),
    };
    let reply = match served.backend.reply(&asked.conversation, &asked.decoding).await {
        Ok(reply) => reply,
        Err(error) => {
            let status = if error.kind == FailureKind::Input { 400 } else { 500 };
            return refusal(&Refused { status, message: error.message });
        }
    };
    let model = served.backend.info().id;
    if asked.is_streamed {
        let events = wire::events(&reply, &model);
        let mut response = Response::new(Body::from(events));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        return response;
    }
    answer(StatusCode::OK, &wire::completion(&reply, &model))
}

fn refusal(refused: &Refused) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status.is_client_error() { "invalid_request_error" } else { "server_error" };
    answer(status, &json!({"error": {"message": refused.message, "type": kind, "code": null, "param": null}}))
}

fn answer(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
