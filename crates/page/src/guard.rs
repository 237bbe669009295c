//! What every request must pass before anything is answered, and what every answer carries.
//!
//! A page from elsewhere can have its own name point to this machine (DNS rebinding): the browser then asks for that name,
//! so only addresses and `localhost` are answered. It can open a WebSocket or send a form to us (CSRF): the browser then
//! says in `Origin` and `Sec-Fetch-Site` whose page it is, so only ours is answered.

use std::net::{IpAddr, SocketAddr};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header},
};

/// What a browser may do with the page: its own files and its own server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(), geolocation=(), payment=()",
    ),
];

/// Adds the headers that every answer has.
pub(crate) fn seal(answer: &mut Response<Body>) {
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// Why a request is not answered.
pub(crate) type Refusal = (StatusCode, &'static str);

/// Checks the head of a request to a server that listens at `local`.
///
/// # Errors
/// The status and the words of the refusal.
pub(crate) fn check(method: &Method, headers: &HeaderMap, local: SocketAddr) -> Result<(), Refusal> {
    if method != Method::GET && method != Method::HEAD {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET is known"));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next().map(HeaderValue::to_str), hosts.next()) {
        (Some(Ok(host)), None) => host,
        _ => return Err((StatusCode::BAD_REQUEST, "a request names one host")),
    };
    if !is_our_host(host, local) {
        return Err((StatusCode::FORBIDDEN, "this server has another name"));
    }
    let ours = format!("http://{host}");
    if headers.get_all(header::ORIGIN).iter().any(|origin| origin.as_bytes() != ours.as_bytes()) {
        return Err((StatusCode::FORBIDDEN, "a page from elsewhere"));
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_link = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    if !matches!(site, None | Some(b"same-origin" | b"none")) && !is_link {
        return Err((StatusCode::FORBIDDEN, "a page from elsewhere"));
    }
    Ok(())
}

/// Whether a host is an address, which no page can have point elsewhere, or `localhost`; of a server on this machine alone,
/// an address of this machine.
fn is_our_host(host: &str, local: SocketAddr) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, Some(80)),
    };
    if port != Some(local.port()) {
        return false;
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let address = if name.eq_ignore_ascii_case("localhost") { Some(local.ip()) } else { bare.parse().ok() };
    address.is_some_and(|address: IpAddr| !local.ip().is_loopback() || address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(local: &str, pairs: &[(&'static str, &'static str)]) -> u16 {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers = headers.fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
        check(&Method::GET, &headers, local.parse().unwrap())
            .map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn only_names_that_nobody_can_point_elsewhere_are_answered() {
        for (local, host, expected) in [
            ("127.0.0.1:80", "localhost", 200),
            ("127.0.0.1:7", "LocalHost:7", 200),
            ("127.0.0.1:7", "127.0.0.1:7", 200),
            ("[::1]:7", "[::1]:7", 200),
            ("0.0.0.0:7", "192.168.1.9:7", 200),
            ("127.0.0.1:7", "192.168.1.9:7", 403),
            ("127.0.0.1:7", "127.0.0.1:8", 403),
            ("127.0.0.1:7", "127.0.0.1", 403),
            ("127.0.0.1:7", "evil.example:7", 403),
            ("0.0.0.0:7", "evil.example:7", 403),
            ("127.0.0.1:7", "localhost.evil.example:7", 403),
            ("127.0.0.1:7", "127.0.0.1.evil.example:7", 403),
            ("127.0.0.1:7", "user@127.0.0.1:7", 403),
            ("127.0.0.1:7", "", 403),
        ] {
            assert_eq!(checked(local, &[("host", host)]), expected, "{host} at {local}");
        }
        assert_eq!(checked("127.0.0.1:7", &[]), 400);
        assert_eq!(checked("127.0.0.1:7", &[("host", "localhost:7"), ("host", "localhost:7")]), 400);
    }

    #[test]
    fn only_our_own_page_may_ask() {
        for (name, value, expected) in [
            ("origin", "http://localhost:7", 200),
            ("origin", "http://127.0.0.1:7", 403),
            ("origin", "https://localhost:7", 403),
            ("origin", "http://evil.example", 403),
            ("origin", "null", 403),
            ("sec-fetch-site", "same-origin", 200),
            ("sec-fetch-site", "none", 200),
            ("sec-fetch-site", "same-site", 403),
            ("sec-fetch-site", "cross-site", 403),
        ] {
            assert_eq!(
                checked("127.0.0.1:7", &[("host", "localhost:7"), (name, value)]),
                expected,
                "{value}"
            );
        }
        let link =
            [("host", "localhost:7"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(checked("127.0.0.1:7", &link), 200, "a link leads here");
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost:7"))]);
        assert!(check(&Method::POST, &headers, "127.0.0.1:7".parse().unwrap()).is_err());
    }
}
