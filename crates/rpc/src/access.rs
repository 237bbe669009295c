//! Who may call: a name and a password as HTTP Basic carries them, in Bitcoin Core's way, and what anybody may call.
//!
//! A server knows no password, only keyed hashes of them, as Bitcoin Core's `rpcauth` writes them. One user is always there, the
//! [cookie](crate::cookie). What stands in a browser is kept out before all that: a page from elsewhere says so in
//! `Origin`, and a name that was made to point here is not ours in `Host`.
//!
//! Deliberately not here: encryption. Whoever serves other machines puts a proxy with TLS or a tunnel before this.

use std::{collections::BTreeSet, fmt, path::Path, str::FromStr};

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::cookie::{self, CookiePlace};

/// Bytes of a header `Authorization` at the most.
const AUTHORIZATION_BYTES_MAX: usize = 1024;
/// Bytes of a user's name at the most.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of a salt at the most.
const SALT_BYTES_MAX: usize = 64;

/// Whose pages may call.
const ORIGINS: [&str; 3] = ["http://localhost", "http://127.0.0.1", "http://[::1]"];

/// Why a text names no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// It is not of the form.
    #[error("expected USER:SALT$HASH, as `mass node password USER` prints it")]
    Form,
    /// The name cannot be had.
    #[error(
        "a user's name has 1 to {NAME_BYTES_MAX} visible characters without a colon, and is not __cookie__"
    )]
    Name,
    /// There is no password.
    #[error("the password is empty")]
    NoPassword,
}

/// A user, with a salted hash of the password.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    salt: String,
    hash: [u8; 32],
}

impl User {
    /// A user with this password, salted at random.
    ///
    /// # Errors
    /// [`UserError`].
    ///
    /// # Panics
    /// The system gives no random numbers.
    pub fn new(name: &str, password: &str) -> Result<Self, UserError> {
        if name == cookie::USER {
            return Err(UserError::Name);
        }
        Self::named(name, password)
    }

    pub(crate) fn named(name: &str, password: &str) -> Result<Self, UserError> {
        check_name(name)?;
        if password.is_empty() {
            return Err(UserError::NoPassword);
        }
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).expect("the system has random numbers");
        let salt = HEXLOWER.encode(&salt);
        let hash = keyed(&salt, password.as_bytes()).finalize().into_bytes().into();
        Ok(Self { name: name.to_owned(), salt, hash })
    }

    fn is(&self, name: &[u8], password: &[u8]) -> bool {
        let has_password = keyed(&self.salt, password).verify_slice(&self.hash).is_ok();
        self.name.as_bytes() == name && has_password
    }
}

fn check_name(name: &str) -> Result<(), UserError> {
    let is_good = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    let has_length = (1..=NAME_BYTES_MAX).contains(&name.len());
    if is_good && has_length { Ok(()) } else { Err(UserError::Name) }
}

fn keyed(salt: &str, password: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).expect("a key of any length is good");
    mac.update(password);
    mac
}

/// As Bitcoin Core's `rpcauth` has it.
impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}${}", self.name, self.salt, HEXLOWER.encode(&self.hash))
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({})", self.name)
    }
}

impl FromStr for User {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        let (name, rest) = text.split_once(':').ok_or(UserError::Form)?;
        let (salt, hash) = rest.split_once('$').ok_or(UserError::Form)?;
        check_name(name)?;
        let hash = HEXLOWER.decode(hash.to_ascii_lowercase().as_bytes()).map_err(|_| UserError::Form)?;
        let hash = hash.try_into().map_err(|_| UserError::Form)?;
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX || name == cookie::USER {
            return Err(UserError::Form);
        }
        Ok(Self { name: name.to_owned(), salt: salt.to_owned(), hash })
    }
}

/// Who may call a server, and under which names it is asked.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Users beside the cookie.
    pub users: Vec<User>,
    /// What anybody may call over HTTP, without a password.
    pub public: BTreeSet<String>,
    /// Where the cookie is written, for other processes than this one.
    pub cookie: Option<CookiePlace>,
    /// Names of this machine beside `localhost`. Any address that is a number is good: nobody can make it point elsewhere.
    pub hosts: Vec<String>,
}

impl Access {
    /// Whether another machine than this one could call.
    #[must_use]
    pub fn is_for_others(&self) -> bool {
        !self.users.is_empty() || !self.public.is_empty()
    }

    /// Only what this process itself calls, and who has the cookie in `dir`; with a link, other programs of the user
    /// find it by the port.
    #[must_use]
    pub fn in_dir(dir: &Path, is_linked: bool) -> Self {
        Self { cookie: Some(CookiePlace { file: dir.join(cookie::FILE), is_linked }), ..Self::default() }
    }

    /// Whether a request with this header `Authorization` is a user's.
    #[must_use]
    pub fn admits(&self, authorization: &[u8]) -> bool {
        let Some((name, password)) = credentials(authorization) else { return false };
        // All are compared, so that time does not tell which names there are.
        self.users.iter().fold(false, |found, user| user.is(&name, &password) | found)
    }

    /// The request or batch of requests again, if anybody may call all its methods: what is checked is what is passed on.
    #[must_use]
    pub fn public_request(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        use serde_json::Value;
        let is_public = |request: &Value| {
            request.get("method").and_then(Value::as_str).is_some_and(|name| self.public.contains(name))
        };
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let all = match &value {
            Value::Array(requests) => requests.iter().all(is_public),
            request => is_public(request),
        };
        if all { serde_json::to_vec(&value).ok() } else { None }
    }

    /// Whether `Host` is a name of this machine.
    #[must_use]
    pub fn is_host(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let named = |name: &str| name.eq_ignore_ascii_case(host);
        !authority.as_str().contains('@')
            && (bare.parse::<std::net::IpAddr>().is_ok()
                || named("localhost")
                || self.hosts.iter().any(|name| named(name)))
    }
}

/// Whether a page of this origin is one of this machine.
pub(crate) fn is_own_origin(origin: &str) -> bool {
    let mut rests = ORIGINS.iter().filter_map(|ours| origin.strip_prefix(*ours));
    rests.any(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// Name and password in a header `Authorization`.
fn credentials(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    if header.len() > AUTHORIZATION_BYTES_MAX {
        return None;
    }
    let (scheme, rest) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut name = BASE64.decode(rest.trim_ascii()).ok()?;
    let colon = name.iter().position(|byte| *byte == b':')?;
    let password = name.split_off(colon + 1);
    name.pop();
    Some((name, password))
}

/// The header `Authorization` of a name and a password, parted by a colon.
pub(crate) fn basic(name_and_password: &[u8]) -> String {
    format!("Basic {}", BASE64.encode(name_and_password))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        let users = vec![User::new("ann", "pass:word").unwrap(), User::new("bob", "x").unwrap()];
        Access { users, hosts: vec!["node.example".to_owned()], ..Access::default() }
    }

    #[test]
    fn a_user_is_admitted_by_name_and_password() {
        let access = access();
        for good in ["ann:pass:word", "bob:x"] {
            assert!(access.admits(basic(good.as_bytes()).as_bytes()), "{good}");
            assert!(access.admits(basic(good.as_bytes()).replace("Basic", "bAsIC").as_bytes()));
        }
        for bad in ["ann:x", "bob:pass:word", "ann:", "ann", ":x", "", "carol:x", "ann:pass:word "] {
            assert!(!access.admits(basic(bad.as_bytes()).as_bytes()), "{bad}");
        }
        let long = basic(&[b'a'; 2000]);
        for bad in ["", "Basic", "Basic ", "Basic !!!!", "Bearer YW5uOnBhc3M6d29yZA==", "YW5uOng=", &long] {
            assert!(!access.admits(bad.as_bytes()), "{bad}");
        }
        assert!(
            !Access::default().admits(basic(b":").as_bytes()),
            "nobody is admitted where nobody is known"
        );
    }

    /// The line that Bitcoin Core's `share/rpcauth/rpcauth.py` makes: HMAC-SHA-256 of the password, keyed with the salt's text.
    #[test]
    fn users_are_written_as_in_bitcoin_core() {
        let line =
            "test:a3c4f1b6$".to_owned() + &HEXLOWER.encode(&keyed("a3c4f1b6", b"pw").finalize().into_bytes());
        let user: User = line.parse().unwrap();
        assert_eq!(user.to_string(), line);
        assert!(user.is(b"test", b"pw") && !user.is(b"test", b"pw2") && !user.is(b"tes", b"pw"));
        let made = User::new("ann", "b").unwrap();
        assert_eq!(made.to_string().parse::<User>().unwrap(), made);
        assert!(!format!("{made:?}").contains(&made.salt));
        let zeros = "0".repeat(64);
        for bad in ["", "a", "a:b", "a:$", "a:b$00", &format!("a:${zeros}"), &format!("__cookie__:b${zeros}")]
        {
            assert_eq!(bad.parse::<User>(), Err(UserError::Form), "{bad}");
        }
        assert_eq!(format!(":b${zeros}").parse::<User>(), Err(UserError::Name));
        for name in ["", "a b", "a:b", "ä", "__cookie__", &"a".repeat(65)] {
            assert_eq!(User::new(name, "p"), Err(UserError::Name), "{name}");
        }
        assert_eq!(User::new("a", ""), Err(UserError::NoPassword));
    }

    #[test]
    fn a_host_is_a_number_or_one_of_our_names() {
        let access = access();
        for good in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]:8",
            "10.1.2.3:1",
            "node.example:9",
        ] {
            assert!(access.is_host(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil",
            "a@127.0.0.1",
            "127.0.0.1 evil",
            "node.example.x",
        ] {
            assert!(!access.is_host(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_public_is_passed_on_as_it_was_checked() {
        let public = BTreeSet::from(["getblockcount".to_owned()]);
        let access = Access { public, ..Access::default() };
        let passed = |text: &str| {
            access.public_request(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
        };
        let good = r#"{"id":1,"method":"getblockcount"}"#;
        assert_eq!(passed(good), Some(good.to_owned()));
        assert_eq!(passed(&format!("[{good},{good}]")), Some(format!("[{good},{good}]")));
        let stop = r#"{"id":1,"method":"stop"}"#;
        let twice = r#"{"method":"getblockcount","method":"stop"}"#;
        let hidden = r#"{"meth\u006fd":"stop"}"#;
        for bad in [
            stop,
            twice,
            hidden,
            &format!("[{good},{stop}]"),
            "{}",
            "5",
            "[5]",
            "garbage",
            "",
            "{\"method\":5}",
        ] {
            assert_eq!(passed(bad), None, "{bad}");
        }
        // Of two names of one kind a reader may take the first or the last: what is passed on has one.
        let reversed = passed(r#"{"method":"stop","method":"getblockcount"}"#).unwrap();
        assert!(!reversed.contains("stop"), "{reversed}");
    }
}
