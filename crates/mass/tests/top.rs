//! `mass top` in a pseudo-terminal, before a development network.

mod processes;

use std::{
    io::{Read as _, Write},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use processes::{Home, PATIENCE, Process, output};

/// A terminal with a program in it.
struct Screen {
    parser: Arc<Mutex<vt100::Parser>>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
}

impl Screen {
    fn start(home: &Home, args: &[&str], (cols, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_mass"));
        command.args(args);
        command.env("TERM", "xterm-256color");
        command.env("HOME", home.path(""));
        command.env("XDG_DATA_HOME", home.path("data"));
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(rows, cols, 0)));
        let (mut reader, shown) = (pair.master.try_clone_reader().unwrap(), Arc::clone(&parser));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self { parser, master: pair.master, keys, child }
    }

    fn text(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    fn shows(&self, what: &str) {
        let start = Instant::now();
        while !self.text().contains(what) {
            assert!(start.elapsed() < PATIENCE, "no {what} in\n{}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn resize(&self, cols: u16, rows: u16) {
        self.parser.lock().unwrap().set_size(rows, cols);
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }
}

/// The farm's address in the log of a network.
fn farm_url(network: &Process) -> String {
    let start = Instant::now();
    loop {
        let text = network.text();
        if let Some((_, rest)) = text.split_once("; RPC ") {
            return rest.split_whitespace().next().unwrap().trim_end_matches(';').to_owned();
        }
        assert!(start.elapsed() < PATIENCE, "{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn farm_and_node_are_shown_keys_are_heeded_and_the_terminal_is_given_back() {
    let home = Home::new();
    let mut command =
        home.command(&["--log", "mass=info", "dev", "--nodes", "1", "--plots", "32", "--no-page", "--dir"]);
    command.arg(home.path("net"));
    let network = Process::start(command, &home.path("net.out"));
    let farm = farm_url(&network);
    network.reaches(2);

    let mut screen = Screen::start(&home, &["top", "--farm", &farm], (140, 40));
    for part in ["farm earns", "synced", "farms", "rounds: . answered", "32 plots", "good", "q end"] {
        screen.shows(part);
    }
    screen.press("\t");
    screen.shows("findings");
    screen.press("?");
    screen.shows("keys");
    screen.press("?");
    screen.shows("disks");
    screen.resize(70, 24);
    screen.shows("q end");
    screen.press("p");
    screen.resize(160, 30);
    screen.shows("paused");
    screen.press("p");
    let start = Instant::now();
    while screen.text().contains("paused") {
        assert!(start.elapsed() < PATIENCE, "{}", screen.text());
        std::thread::sleep(Duration::from_millis(50));
    }
    screen.press("q");
    assert!(screen.child.wait().unwrap().success());
    // The last bytes may still be on their way.
    let start = Instant::now();
    while screen.parser.lock().unwrap().screen().alternate_screen() {
        assert!(start.elapsed() < PATIENCE, "the terminal is not given back");
        std::thread::sleep(Duration::from_millis(50));
    }

    let once = output(&mut home.command(&["top", "--once", "--columns", "120", "--farm", &farm]));
    assert!(once.status.success(), "{once:?}");
    let text = String::from_utf8(once.stdout).unwrap();
    assert!(text.contains("farm earns") && text.contains("synced") && !text.contains('\u{1b}'), "{text}");
    let values = home.json(&["top", "--farm", &farm]);
    assert_eq!(values["farm"]["state"]["status"]["disks"][0]["plots"], 32);
    assert_eq!(values["nodes"][0]["state"]["status"]["name"], "dev");
}

#[test]
fn who_does_not_answer_is_said_and_no_terminal_is_no_place_for_it() {
    let home = Home::new();
    let nobody = "http://127.0.0.1:1";
    let once = output(&mut home.command(&["top", "--once", "--farm", nobody, "--node", nobody]));
    assert_eq!(once.status.code(), Some(1));
    let text = String::from_utf8(once.stdout).unwrap();
    assert!(text.contains("no farm at http://127.0.0.1:1"), "{text}");
    let piped = output(&mut home.command(&["top", "--farm", nobody]));
    assert_eq!(piped.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&piped.stderr).contains("--once"), "{piped:?}");
}
