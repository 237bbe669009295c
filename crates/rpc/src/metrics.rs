//! Metrics for Prometheus: `GET /metrics` on the address of the RPC, in the OpenMetrics text format.
//!
//! A page is made anew at each scrape from what the program knows at that moment; nothing is counted here.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
};

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

/// What kind of page it is.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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

/// Whether a request is one for the page.
pub(crate) fn is_page<B>(request: &HttpRequest<B>) -> bool {
    request.method() == "GET" && request.uri().path() == "/metrics"
}

/// No metrics.
#[must_use]
pub fn none() -> Render {
    Arc::new(|| Box::pin(async { Page::default() }))
}

/// Answers `GET /metrics` before the RPC sees it.
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
        if is_page(&request) {
            let page = (self.render)();
            return Box::pin(async move {
                let mut response = HttpResponse::new(HttpBody::from(page.await.text()));
                let kind = CONTENT_TYPE.parse().map_err(Box::new)?;
                response.headers_mut().insert("content-type", kind);
                Ok(response)
            });
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
