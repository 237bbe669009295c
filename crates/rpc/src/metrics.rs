//! Pages for who watches a program, on the address of the RPC and, if that is wanted, on one of their own:
//!
//! - `/metrics` for Prometheus, in the OpenMetrics text format;
//! - `/health`: 200 if the program answers, else 503: restart it;
//! - `/ready`: 200 if it does its work, else 503 and why not: send it no clients.
//!
//! They are made anew at each request from what the program knows at that moment; nothing is counted here.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, StatusCode};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse},
};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tower::{Layer, Service};

use crate::process;

/// What kind of page it is.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long a program may take to tell of itself.
const RENDERING_MAX: Duration = Duration::from_secs(5);

/// A page in the making.
pub type Rendering = Pin<Box<dyn Future<Output = Page> + Send>>;

/// Makes a page whenever one is asked for.
pub type Render = Arc<dyn Fn() -> Rendering + Send + Sync>;

type Labels = Vec<(String, String)>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;
type Counters = Family<Labels, Counter<f64, AtomicU64>>;

/// Metrics by name, each with what it says and its values by label.
#[derive(Default)]
pub struct Page {
    gauges: BTreeMap<&'static str, (&'static str, Gauges)>,
    counters: BTreeMap<&'static str, (&'static str, Counters)>,
    down: Option<&'static str>,
    problems: Vec<String>,
}

impl Page {
    /// A value that rises and falls.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        let (_, family) = self.gauges.entry(name).or_insert_with(|| (help, Gauges::default()));
        family.get_or_create(&own(labels)).set(value);
    }

    /// A value that only rises while the program runs. Its name gets the ending `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: u64) {
        let (_, family) = self.counters.entry(name).or_insert_with(|| (help, Counters::default()));
        family.get_or_create(&own(labels)).inc_by(value as f64);
    }

    /// The program does not answer.
    pub const fn is_down(&mut self, reason: &'static str) {
        self.down = Some(reason);
    }

    /// The program does not do its work, for this reason among others.
    pub fn is_not_ready(&mut self, problem: &str) {
        self.problems.push(problem.to_owned());
    }

    /// What `/health` and `/ready` say: whether all is well, and the text.
    fn verdict(self, asked: Asked) -> (bool, String) {
        let down = self.down.map(str::to_owned);
        let problems: Vec<String> = match asked {
            Asked::Health => down.into_iter().collect(),
            _ => down.into_iter().chain(self.problems).collect(),
        };
        let is_good = problems.is_empty();
        let name = if asked == Asked::Health { "healthy" } else { "ready" };
        (is_good, serde_json::json!({ name: is_good, "problems": problems }).to_string())
    }

    /// The page as text.
    #[must_use]
    pub fn text(self) -> String {
        let mut registry = Registry::default();
        for (name, (help, family)) in self.gauges {
            registry.register(name, help, family);
        }
        for (name, (help, family)) in self.counters {
            registry.register(name, help, family);
        }
        let mut text = String::new();
        // A text in memory takes all that is written to it.
        encode(&mut text, &registry).unwrap_or_default();
        text
    }
}

fn own(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Metrics,
    Health,
    Ready,
}

fn asked<B>(request: &HttpRequest<B>) -> Option<Asked> {
    let page = match request.uri().path() {
        "/metrics" => Asked::Metrics,
        "/health" => Asked::Health,
        "/ready" => Asked::Ready,
        _ => return None,
    };
    (request.method() == "GET").then_some(page)
}

/// Whether a request is one for a page.
pub(crate) fn is_page<B>(request: &HttpRequest<B>) -> bool {
    asked(request).is_some()
}

async fn answer(render: Render, asked: Asked) -> HttpResponse {
    let late = |_| {
        let mut page = Page::default();
        page.is_down("the program does not answer");
        page
    };
    let mut page = tokio::time::timeout(RENDERING_MAX, render()).await.unwrap_or_else(late);
    let (is_good, kind, text) = if asked == Asked::Metrics {
        process::measure(&mut page);
        (true, CONTENT_TYPE, page.text())
    } else {
        let (is_good, text) = page.verdict(asked);
        (is_good, "application/json", text)
    };
    let mut response = HttpResponse::new(HttpBody::from(text));
    response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    if !is_good {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// No metrics.
#[must_use]
pub fn none() -> Render {
    Arc::new(|| Box::pin(async { Page::default() }))
}

/// Answers for the pages before the RPC sees the request.
#[derive(Clone)]
pub(crate) struct MetricsLayer(pub Render);

/// [`MetricsLayer`] around the RPC.
#[derive(Clone)]
pub(crate) struct WithMetrics<S> {
    inner: S,
    render: Render,
}

impl<S> Layer<S> for MetricsLayer {
    type Service = WithMetrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithMetrics { inner, render: Arc::clone(&self.0) }
    }
}

impl<S, B> Service<HttpRequest<B>> for WithMetrics<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        if let Some(asked) = asked(&request) {
            let render = Arc::clone(&self.render);
            return Box::pin(async move { Ok(answer(render, asked).await) });
        }
        let answer = self.inner.call(request);
        Box::pin(async move { answer.await.map_err(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_names_labels_and_values() {
        let mut page = Page::default();
        page.gauge("mass_height", "Height of the tip", &[("chain", "dev")], 7.0);
        page.counter("mass_reads", "Short reads made", &[("disk", "a\"b\\c")], 12);
        page.counter("mass_reads", "Short reads made", &[("disk", "b")], 3);
        let text = page.text();
        // The values of one metric come in any order.
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.pop(), Some("# EOF"));
        assert_eq!(
            lines[..3],
            [
                "# HELP mass_height Height of the tip.",
                "# TYPE mass_height gauge",
                "mass_height{chain=\"dev\"} 7.0"
            ]
        );
        lines.sort_unstable();
        assert_eq!(
            lines[5..],
            ["mass_reads_total{disk=\"a\\\"b\\\\c\"} 12.0", "mass_reads_total{disk=\"b\"} 3.0"]
        );
    }
}
