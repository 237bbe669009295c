//! A real NATS server with JetStream, which may be killed and come back with what it had.

use std::{
    env, fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::processes::PATIENCE;

/// A server on loopback that is killed when it is dropped.
pub struct Nats {
    child: Child,
    dir: tempfile::TempDir,
    pub url: String,
}

impl Nats {
    /// Starts a server on a port that the system gives.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = spawn(dir.path(), "-1");
        let file = dir.path().join(format!("nats-server_{}.ports", child.id()));
        let mut server = Self { child, dir, url: String::new() };
        // The file is there before it is written.
        let ports = || serde_json::from_slice::<Value>(&fs::read(&file).ok()?).ok();
        let start = Instant::now();
        server.url = loop {
            if let Some(ports) = ports() {
                break ports["nats"][0].as_str().unwrap().to_owned();
            }
            server.assert_lives(start);
        };
        server.wait();
        server
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was, with what it had.
    pub fn restart(&mut self) {
        self.kill();
        let port = self.url.rsplit(':').next().unwrap().to_owned();
        self.child = spawn(self.dir.path(), &port);
        self.wait();
    }

    fn wait(&mut self) {
        let (start, addr) = (Instant::now(), self.url.strip_prefix("nats://").unwrap().to_owned());
        while TcpStream::connect(&addr).is_err() {
            self.assert_lives(start);
        }
    }

    fn assert_lives(&mut self, start: Instant) {
        assert!(self.child.try_wait().unwrap().is_none(), "nats-server has ended");
        assert!(start.elapsed() < PATIENCE, "nats-server does not listen");
        thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &Path, port: &str) -> Child {
    let program = env::var_os("NATS_SERVER").unwrap_or_else(|| "nats-server".into());
    let mut command = Command::new(&program);
    command.args(["-a", "127.0.0.1", "-p", port, "-js", "-sd"]).arg(dir).arg("--ports_file_dir").arg(dir);
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => panic!(
            "{} cannot be started, {error}: install it, as the package nats-server or from \
             https://github.com/nats-io/nats-server/releases, or say in NATS_SERVER where it is",
            program.display()
        ),
    }
}
