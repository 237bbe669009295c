//! `mass top`: farm and nodes at a glance in a terminal, from their RPC.
//!
//! One loop takes keys, pictures and the clock in turn; what is shown is a pure function of the last picture and of what is
//! chosen (`crates/mass/src/top/draw.rs`). Nothing is written, but for a pause of plotting that a key asks for.

mod draw;
mod look;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use mass_rpc::farm_view::FarmViewClient as _;
use ratatui::{
    Terminal,
    backend::{Backend, TermionBackend, TestBackend},
    buffer::Buffer,
    termion::{
        self, event::Key, input::TermRead as _, raw::IntoRawMode as _, screen::IntoAlternateScreen as _,
    },
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use self::{
    draw::{Choice, draw},
    look::{Picture, Sources},
};
use crate::{
    farm::FarmUrl,
    output::{Output, Verdict},
    runtime,
};

/// Columns and lines of a picture of which nothing is known.
const USUAL_SIZE: (u16, u16) = (100, 36);

/// Whom to look at.
#[derive(Args)]
pub struct TopArgs {
    #[command(flatten)]
    farm: FarmUrl,
    /// A node's RPC; may be given several times [default: the nodes of the farm, or else of the chain dev].
    #[arg(long = "node", value_name = "URL")]
    nodes: Vec<String>,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Print one picture as text and end; with --json the values. The exit code is 1 if nothing answers.
    #[arg(long)]
    once: bool,
    /// Columns of the picture of --once [default: those of the terminal, or 100].
    #[arg(long, value_name = "N", requires = "once", value_parser = clap::value_parser!(u16).range(20..=1000))]
    columns: Option<u16>,
    /// Lines of the picture of --once [default: those of the terminal, or 36].
    #[arg(long, value_name = "N", requires = "once", value_parser = clap::value_parser!(u16).range(5..=1000))]
    lines: Option<u16>,
}

/// Shows farm and nodes until a key ends it.
pub fn run(args: &TopArgs, output: Output) -> anyhow::Result<Verdict> {
    let sources = Sources::new(args.farm.url(), &args.nodes)?;
    if args.once || output.json {
        let picture = runtime::block_on(async { Ok(sources.look().await) })?;
        let (columns, lines) = termion::terminal_size().unwrap_or(USUAL_SIZE);
        let size = (args.columns.unwrap_or(columns), args.lines.unwrap_or(lines));
        output.result(&serde_json::to_value(&picture)?, &text(&picture, size)?)?;
        return Ok(Verdict::good_if(picture.answers()));
    }
    ensure!(io::stdout().is_terminal(), "this is no terminal: --once prints a picture as text");
    // The terminal is as before when this is dropped, in a panic too.
    let screen = io::stdout().into_raw_mode().and_then(|raw| raw.into_alternate_screen());
    let screen = screen.context("the terminal cannot be used")?;
    let mut terminal = Terminal::new(TermionBackend::new(screen)).context("the terminal cannot be used")?;
    terminal.hide_cursor().context("the terminal")?;
    let ended = runtime::block_on(watch(&mut terminal, sources, Duration::from_secs(args.every)));
    terminal.show_cursor().context("the terminal")?;
    ended.map(|()| Verdict::Good)
}

/// A picture as lines of text.
fn text(picture: &Picture, (columns, lines): (u16, u16)) -> anyhow::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).context("a picture")?;
    terminal.draw(|frame| draw(frame, picture, &Choice::default())).context("a picture")?;
    Ok(lines_of(terminal.backend().buffer()))
}

fn lines_of(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let line = |cells: &[ratatui::buffer::Cell]| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    };
    buffer.content.chunks(width).map(line).collect::<Vec<_>>().join("\n")
}

async fn watch(
    terminal: &mut Terminal<impl Backend>,
    sources: Sources,
    every: Duration,
) -> anyhow::Result<()> {
    let (tell, mut pictures) = mpsc::channel(1);
    let (again, mut asked) = mpsc::channel::<()>(1);
    let farm = sources.farm();
    tokio::spawn(async move {
        loop {
            if tell.send(sources.look().await).await.is_err() {
                return;
            }
            // Somebody who does not want to wait is shown what is there now.
            let _ = tokio::time::timeout(every, asked.recv()).await;
        }
    });
    let mut keys = keys();
    let mut resized = signal(SignalKind::window_change()).context("SIGWINCH cannot be caught")?;
    let stop = runtime::stop_signal()?;
    tokio::pin!(stop);
    let (mut picture, mut choice) = (Picture::default(), Choice::default());
    loop {
        terminal.draw(|frame| draw(frame, &picture, &choice)).context("the terminal")?;
        tokio::select! {
            Some(new) = pictures.recv() => picture = new,
            key = keys.recv() => match key {
                None | Some(Key::Char('q') | Key::Esc | Key::Ctrl('c')) => return Ok(()),
                Some(key) => {
                    if let Some(disk) = choice.take(key, &picture) {
                        hold(&farm, &picture, &disk).await;
                    }
                    let _ = again.try_send(());
                }
            },
            _ = resized.recv() => {}
            () = &mut stop => return Ok(()),
        }
    }
}

/// Holds plotters of a directory, or lets them go on. What comes of it the next picture shows.
async fn hold(farm: &mass_rpc::HttpClient, picture: &Picture, disk: &str) {
    let paused = picture.plotting().iter().any(|plotting| plotting.disk == disk && plotting.paused);
    let _ = if paused {
        farm.farm_plot_resume(disk.to_owned()).await
    } else {
        farm.farm_plot_pause(disk.to_owned()).await
    };
}

/// Keys, from a thread that ends with the receiver, at its next key.
fn keys() -> mpsc::Receiver<Key> {
    let (tell, keys) = mpsc::channel(16);
    std::thread::spawn(move || {
        for key in io::stdin().keys() {
            let Ok(key) = key else { return };
            if tell.blocking_send(key).is_err() {
                return;
            }
        }
    });
    keys
}
