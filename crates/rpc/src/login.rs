//! How a client says who it is: with name and password of the URL, or else with those of a file, read anew for each
//! request, for a node makes a new cookie at each start.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
};

use http::{HeaderValue, Uri, header::AUTHORIZATION};
use jsonrpsee::{
    core::http_helpers::HttpError,
    http_client::{HttpBackend, HttpRequest, HttpResponse, RpcLogger, RpcService, transport::Error},
};
use tower::{Layer, Service};

use crate::{access::basic, cookie};

/// A client of a node.
pub type HttpClient = jsonrpsee::http_client::HttpClient<RpcLogger<RpcService<LoggedIn<HttpBackend>>>>;

/// The file that this program was told to take names and passwords from.
static GIVEN: OnceLock<PathBuf> = OnceLock::new();

/// Takes name and password for all servers from this file, instead of what is found. It counts once.
pub fn use_cookie(file: PathBuf) {
    let _ = GIVEN.set(file);
}

/// Where name and password come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Nowhere, or from the URL.
    None,
    /// From this file, as a cookie's `USER:PASSWORD`.
    File(PathBuf),
    /// From the cookie of whoever serves at this port of this machine.
    Port(u16),
}

impl Login {
    /// What is known of the server at this URL: what the program was told, or the cookie of this machine's server there.
    #[must_use]
    pub fn found(url: &str) -> Self {
        let Some(uri) = url.parse::<Uri>().ok().filter(|_| !url.contains('@')) else { return Self::None };
        if let Some(file) = GIVEN.get() {
            return Self::File(file.clone());
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        // A cookie of this machine is nobody else's business.
        if is_here { Self::Port(uri.port_u16().unwrap_or(80)) } else { Self::None }
    }

    fn file(&self) -> Option<PathBuf> {
        match self {
            Self::None => None,
            Self::File(file) => Some(file.clone()),
            Self::Port(port) => cookie::find(*port),
        }
    }

    /// The header `Authorization`, as it is now.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        let own = if let Self::Port(port) = self { cookie::own(*port) } else { None };
        let secret = own.or_else(|| cookie::read(&self.file()?).ok())?;
        let mut value = HeaderValue::from_str(&basic(&secret)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Why the server does not let a request in.
    fn refusal(&self) -> String {
        let reason = match self.file() {
            Some(file) => match cookie::read(&file) {
                Ok(_) => format!("it does not take the one in {}", file.display()),
                Err(error) => format!("{}: {error}", file.display()),
            },
            None => "no cookie of it is found: it may be another user's".to_owned(),
        };
        format!(
            "it asks for a password, and {reason}. Name a file of USER:PASSWORD, as the node's {}, with --rpc-cookie",
            cookie::FILE
        )
    }
}

impl<S> Layer<S> for Login {
    type Service = LoggedIn<S>;

    fn layer(&self, inner: S) -> LoggedIn<S> {
        LoggedIn { inner, login: self.clone() }
    }
}

/// A transport that says who asks.
#[derive(Clone, Debug)]
pub struct LoggedIn<S> {
    inner: S,
    login: Login,
}

impl<S, B> Service<HttpRequest> for LoggedIn<S>
where
    S: Service<HttpRequest, Response = HttpResponse<B>, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse<B>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: HttpRequest) -> Self::Future {
        if let Some(header) = self.login.header() {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let (answer, login) = (self.inner.call(request), self.login.clone());
        Box::pin(async move {
            let answer = answer.await?;
            if answer.status() == 401 {
                return Err(Error::Http(HttpError::Stream(login.refusal().into())));
            }
            Ok(answer)
        })
    }
}

/// A URL as it may be shown: without name and password.
#[must_use]
pub fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_of_this_machine_is_shown_to_this_machine_alone() {
        for here in ["http://127.0.0.1:5", "http://localhost:5/wallet/a", "http://[::1]:5"] {
            assert_eq!(Login::found(here), Login::Port(5), "{here}");
        }
        for elsewhere in [
            "http://10.0.0.1:5",
            "http://localhost.evil:5",
            "http://a:b@127.0.0.1:5",
            "http://127.0.0.1@evil:5",
            "x y",
        ] {
            assert_eq!(Login::found(elsewhere), Login::None, "{elsewhere}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        assert_eq!(shown("http://ann:secret@127.0.0.1:5/a"), "http://127.0.0.1:5/a");
        assert_eq!(shown("http://127.0.0.1:5"), "http://127.0.0.1:5");
    }
}
