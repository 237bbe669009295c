//! The cookie: a user `__cookie__` with a new password at each start, in a file that its owner alone can read. Who can read
//! the file may call; so our programs need no settings on one machine.
//!
//! The file of a node is `.cookie` in its data directory. Other programs of the user find it by the port: in the user's
//! directory for MASS, `rpc/PORT.cookie` is a link to it. A process knows its own servers without.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::access::User;

/// The name of the user.
pub(crate) const USER: &str = "__cookie__";

/// The name of a cookie's file in a directory.
pub const FILE: &str = ".cookie";

/// Bytes of a file of name and password at the most.
const FILE_BYTES_MAX: u64 = 1024;

/// Name and password, parted by a colon.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

/// The cookies of this process's servers, by port.
static OWN: Mutex<BTreeMap<u16, Secret>> = Mutex::new(BTreeMap::new());

/// The user's directory for what MASS keeps, if the user has a home.
#[must_use]
pub fn user_dir() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("", "", "mass")?.data_dir().to_owned())
}

/// Where other programs find the cookie of the server at a port.
fn link(port: u16) -> Option<PathBuf> {
    Some(user_dir()?.join("rpc").join(format!("{port}.cookie")))
}

/// The cookie of this process's server at a port.
pub(crate) fn own(port: u16) -> Option<Secret> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).get(&port).cloned()
}

/// The file of the cookie of whoever serves at a port of this machine.
pub(crate) fn find(port: u16) -> Option<PathBuf> {
    link(port).filter(|link| link.symlink_metadata().is_ok())
}

/// Name and password of a file.
pub(crate) fn read(file: &Path) -> io::Result<Secret> {
    use io::Read as _;
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize));
    fs::File::open(file)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    let length = bytes.trim_ascii_end().len();
    bytes.truncate(length);
    if !bytes.contains(&b':') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "expected USER:PASSWORD"));
    }
    Ok(bytes)
}

/// Where a cookie is to be, and whether other programs of the user are to find it.
#[derive(Clone, Debug)]
pub struct CookiePlace {
    /// The file.
    pub file: PathBuf,
    /// Whether there is to be a link to it.
    pub is_linked: bool,
}

/// A cookie that holds; its file goes with it.
#[derive(Debug)]
pub(crate) struct Cookie {
    port: u16,
    secret: Secret,
    file: Option<PathBuf>,
    link: Option<PathBuf>,
}

impl Cookie {
    /// Bakes a new one for the server at a port; with it, the user that the server is to know. Without a place, only
    /// this process has it.
    pub(crate) fn bake(place: Option<&CookiePlace>, port: u16) -> io::Result<(Self, User)> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).map_err(|error| io::Error::other(error.to_string()))?;
        let password = Zeroizing::new(HEXLOWER.encode(&*random));
        let user = User::named(USER, &password).expect("name and password are good");
        let secret = Zeroizing::new(format!("{USER}:{}", *password).into_bytes());
        let file = place.map(|place| std::path::absolute(&place.file)).transpose()?;
        if let Some(file) = &file {
            write_secret(file, &secret)?;
        }
        let link = link(port).filter(|_| place.is_some_and(|place| place.is_linked));
        if let (Some(link), Some(file)) = (&link, &file) {
            // Without it the file has to be named: no reason not to serve.
            let _ = point(link, file);
        }
        OWN.lock().unwrap_or_else(PoisonError::into_inner).insert(port, secret.clone());
        Ok((Self { port, secret, file, link }, user))
    }
}

impl Drop for Cookie {
    fn drop(&mut self) {
        let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        // What another server has put there since stays.
        if own.get(&self.port) == Some(&self.secret) {
            own.remove(&self.port);
        }
        let Some(file) = &self.file else { return };
        if let Some(link) = self.link.take().filter(|link| fs::read_link(link).is_ok_and(|to| to == *file)) {
            let _ = fs::remove_file(link);
        }
        let _ = fs::remove_file(file);
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    name.into()
}

fn write_secret(path: &Path, text: &[u8]) -> io::Result<()> {
    let part = beside(path);
    let _ = fs::remove_file(&part);
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(text)?;
    fs::rename(&part, path)
}

fn point(link: &Path, file: &Path) -> io::Result<()> {
    let part = beside(link);
    fs::create_dir_all(link.parent().unwrap_or(Path::new("")))?;
    let _ = fs::remove_file(&part);
    symlink(file, &part)?;
    fs::rename(&part, link)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_cookie_is_new_each_time_for_its_owner_alone_and_goes_with_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let place = CookiePlace { file: dir.path().join(FILE), is_linked: false };
        let mut before = Zeroizing::new(Vec::new());
        for _ in 0..2 {
            let (cookie, user) = Cookie::bake(Some(&place), 1).unwrap();
            let mode = fs::metadata(&place.file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let text = read(&place.file).unwrap();
            assert!(text.starts_with(b"__cookie__:") && text.len() == 11 + 64 && text != before);
            assert_eq!(own(1), Some(text.clone()));
            let access = crate::Access { users: vec![user], ..Default::default() };
            assert!(access.admits(crate::access::basic(&text).as_bytes()));
            before = text;
            drop(cookie);
            assert!(!place.file.exists() && own(1).is_none());
        }
        // A file that a killed node left, readable for all, is replaced and not written into.
        fs::write(&place.file, "old").unwrap();
        fs::set_permissions(&place.file, fs::Permissions::from_mode(0o644)).unwrap();
        let _cookie = Cookie::bake(Some(&place), 1).unwrap();
        assert_eq!(fs::metadata(&place.file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_of_something_else_is_no_cookie() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        for (text, is_good) in [("ann:secret\n", true), ("", false), ("no colon", false)] {
            fs::write(&file, text).unwrap();
            assert_eq!(read(&file).is_ok(), is_good, "{text}");
        }
        assert_eq!(read(&file.with_file_name("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(&file, vec![b':'; 5000]).unwrap();
        assert_eq!(read(&file).unwrap().len(), 1024);
    }
}
