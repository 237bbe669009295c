//! A real NATS server with JetStream for end-to-end tests, which ends with the test.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server on a port that the system has given, with its state in a directory.
pub struct Server {
    child: Child,
    dir: PathBuf,
    port: u16,
    pub url: String,
}

impl Server {
    /// Starts a server, and waits until it listens.
    pub fn start(dir: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("nats://127.0.0.1:{port}");
        let (child, dir) = (run(dir, port), dir.to_owned());
        Self { child, dir, port, url }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        self.child = run(&self.dir, self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(dir: &Path, port: u16) -> Child {
    let mut command = Command::new("nats-server");
    command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(dir);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child =
        child.unwrap_or_else(|error| panic!("nats-server: {error}; on Debian: apt install nats-server"));
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "nats-server does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}
