//! The built page, embedded at compile time: `page/dist`.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "../../page/dist"]
struct Dist;

/// Files in this folder have a hash of their content in their names.
const HASHED: &str = "assets/";

/// The file at a path of a URL; `known` is the tag of what the browser has.
///
/// A path is a key of a fixed table and never goes to a file system, so that nothing can lead out of it.
pub(crate) fn answer(path: &str, known: Option<&HeaderValue>) -> Response<Body> {
    let name = path.strip_prefix('/').unwrap_or(path);
    let name = if name.is_empty() { "index.html" } else { name };
    let Some(file) = Dist::get(name) else { return plain(StatusCode::NOT_FOUND, "no such file") };
    let tag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash()));
    let is_known = known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answer = if is_known { Response::new(Body::empty()) } else { whole(name, file) };
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let keep = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}

fn whole(name: &str, file: EmbeddedFile) -> Response<Body> {
    let mut answer = Response::new(Body::from(file.data));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    answer
}

/// The content type by the end of a name.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// An answer of a few words.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
