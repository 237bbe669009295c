//! A picture of farm and nodes in characters. Pure.
//!
//! What has no room is left out from below: nodes and chains stay, disks are scrolled. Colours say nothing that words do not.

use mass_rpc::farm::{DiskStatus, Severity};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    termion::event::Key,
    text::{Line, Span},
    widgets::{Block, Cell, Paragraph, Row, Table, TableState, Wrap},
};

use super::look::{FarmPicture, NodePicture, Part, Picture};
use crate::output::{human_bytes, human_time};

/// What is shown below nodes and chains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Panel {
    /// The disks.
    #[default]
    Disks,
    /// What is wrong, and what to do.
    Findings,
    /// The peers of the nodes.
    Peers,
    /// The keys.
    Help,
}

/// What is chosen by keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    panel: Panel,
    row: usize,
}

const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red);
const WARNING: Style = Style::new().fg(Color::Yellow);
const QUIET: Style = Style::new().fg(Color::DarkGray);
const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);

const KEYS: &str = "q end  Tab panel  up/down disk  p pause or resume plotting  r look now  ? keys";

impl Choice {
    /// Takes a key; the directory whose plotters are to be held or let go, if the key says so.
    pub fn take(&mut self, key: Key, picture: &Picture) -> Option<String> {
        let disks = picture.farm.state.as_ref().map_or(&[][..], |farm| &farm.status.disks);
        match key {
            Key::Char('\t') => {
                self.panel = match self.panel {
                    Panel::Disks => Panel::Findings,
                    Panel::Findings => Panel::Peers,
                    Panel::Peers | Panel::Help => Panel::Disks,
                }
            }
            Key::Char('?' | 'h') => {
                self.panel = if self.panel == Panel::Help { Panel::Disks } else { Panel::Help };
            }
            Key::Down | Key::Char('j') => self.row = (self.row + 1).min(disks.len().saturating_sub(1)),
            Key::Up | Key::Char('k') => self.row = self.row.saturating_sub(1),
            Key::Char('p') => return disks.get(self.row).map(|disk| disk.path.clone()),
            _ => {}
        }
        None
    }
}

/// Draws a picture.
pub fn draw(frame: &mut Frame<'_>, picture: &Picture, choice: &Choice) {
    let farm = picture.farm.state.as_ref();
    let chains = farm.map_or(0, |farm| farm.status.chains.len());
    let rows = |count: usize| Constraint::Length(u16::try_from(count).unwrap_or(u16::MAX).saturating_add(3));
    let strip = Constraint::Length(if farm.is_some() { 3 } else { 0 });
    let parts = Layout::vertical([
        Constraint::Length(1),
        rows(picture.nodes.len()),
        rows(chains.max(1)),
        strip,
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [head, nodes, luck, rounds, rest, keys] = parts.areas(frame.area());
    frame.render_widget(headline(picture), head);
    frame.render_widget(nodes_table(&picture.nodes), nodes);
    match farm {
        Some(farm) => {
            frame.render_widget(chains_table(farm), luck);
            frame.render_widget(rounds_strip(farm, rounds.width), rounds);
        }
        None => frame.render_widget(absence(&picture.farm), luck),
    }
    match (choice.panel, farm) {
        (Panel::Disks, Some(farm)) => draw_disks(frame, rest, farm, choice.row),
        (Panel::Findings, Some(farm)) => frame.render_widget(findings(farm), rest),
        (Panel::Peers, _) => frame.render_widget(peers_table(&picture.nodes), rest),
        (Panel::Help, _) => {
            frame.render_widget(Paragraph::new(KEYS.replace("  ", "\n")).block(titled("keys")), rest);
        }
        (_, None) => {}
    }
    frame.render_widget(Paragraph::new(KEYS).style(QUIET), keys);
}

fn titled(title: &str) -> Block<'static> {
    Block::bordered().border_style(QUIET).title(format!(" {title} "))
}

fn headline(picture: &Picture) -> Line<'static> {
    let Some(farm) = &picture.farm.state else { return Line::styled("mass top", HEAD) };
    let status = &farm.status;
    let bytes: u64 = status.disks.iter().map(|disk| disk.bytes).sum();
    let plots: u64 = status.disks.iter().map(|disk| disk.plots).sum();
    let (errors, all) = (errors(farm), farm.findings.len());
    let state = match (errors, all) {
        (0, 0) => Span::styled("earns", GOOD),
        (0, warnings) => Span::styled(format!("earns, {warnings} warnings"), WARNING),
        (errors, _) => Span::styled(format!("{errors} troubles"), BAD),
    };
    Line::from(vec![
        Span::styled("farm ", HEAD),
        state,
        Span::raw(format!(
            "  {plots} plots, {}  {} rounds, {} reads, {} qualities, {} proofs  {}",
            human_bytes(bytes),
            status.rounds,
            status.reads,
            status.qualities,
            status.proofs,
            status.version,
        )),
    ])
}

fn errors(farm: &FarmPicture) -> usize {
    farm.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
}

fn table(head: &[&str], widths: &[u16], rows: Vec<Row<'static>>, title: &str) -> Table<'static> {
    let head = Row::new(head.iter().map(|name| (*name).to_owned())).style(HEAD);
    let widths = widths.iter().map(|width| match width {
        0 => Constraint::Fill(1),
        width => Constraint::Length(*width),
    });
    Table::new(rows, widths).header(head).block(titled(title))
}

fn nodes_table(nodes: &[Part<NodePicture>]) -> Table<'static> {
    let rows = nodes.iter().map(|part| match &part.state {
        Some(NodePicture { status, pool, peers }) => {
            let netspace =
                status.netspace_bytes.parse().map_or_else(|_| status.netspace_bytes.clone(), human_bytes);
            let inbound =
                peers.as_array().into_iter().flatten().filter(|peer| peer["inbound"] == true).count();
            let state = if status.synced { ("synced", GOOD) } else { ("behind", WARNING) };
            let cells = [
                status.name.clone(),
                status.height.to_string(),
                status.tip.to_string().chars().take(12).collect(),
                netspace,
                format!("{} ({inbound} in)", status.peers),
                format!("{}, {}", status.mempool, human_bytes(pool["bytes"].as_u64().unwrap_or(0))),
                status.reorgs.to_string(),
                status.banned.to_string(),
            ];
            Row::new(cells.map(Cell::from).into_iter().chain([Cell::from(state.0).style(state.1)]))
        }
        None => Row::new([part.url.clone(), part.failure.clone().unwrap_or_default()]).style(BAD),
    });
    let head = ["chain", "height", "tip", "netspace", "peers", "pool", "reorgs", "banned", "state"];
    table(&head, &[12, 9, 13, 11, 11, 14, 7, 7, 0], rows.collect(), "nodes")
}

fn chains_table(farm: &FarmPicture) -> Table<'static> {
    let rows = farm.status.chains.iter().map(|chain| {
        let luck = farm.luck.chains.iter().find(|luck| luck.name == chain.name);
        let share =
            luck.and_then(|luck| luck.share).map_or_else(unknown, |share| format!("{:.4}%", share * 100.0));
        let wait = luck
            .and_then(|luck| luck.seconds_per_win)
            .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok().map(human_time));
        let band = luck.map_or_else(unknown, |luck| format!("{}-{}", luck.wins_low, luck.wins_high));
        let state = match (chain.connected, chain.banned, &chain.other_farmer) {
            (_, Some(height), _) => (format!("banned since {height}"), BAD),
            (_, _, Some(_)) => ("another farmer".to_owned(), BAD),
            (false, ..) => ("no work".to_owned(), BAD),
            _ if chain.watch_slots > 0 => (format!("watching {} slots", chain.watch_slots), WARNING),
            _ => ("farms".to_owned(), GOOD),
        };
        let cells = [
            chain.name.clone(),
            share,
            wait.unwrap_or_else(unknown),
            chain.wins.to_string(),
            format!("{:.1}", chain.expected_wins),
            band,
            chain.lost.to_string(),
        ];
        Row::new(cells.map(Cell::from).into_iter().chain([Cell::from(state.0).style(state.1)]))
    });
    let head = ["chain", "share", "a win every", "wins", "expected", "19 of 20", "lost", "state"];
    table(&head, &[12, 11, 13, 8, 10, 10, 6, 0], rows.collect(), "farming")
}

fn unknown() -> String {
    "-".to_owned()
}

fn absence(farm: &Part<FarmPicture>) -> Paragraph<'static> {
    let reason = farm.failure.clone().unwrap_or_else(|| "asking".to_owned());
    Paragraph::new(format!("no farm at {}: {reason}", farm.url))
        .block(titled("farming"))
        .wrap(Wrap { trim: true })
}

/// The last rounds, the newest on the right: `.` answered, `!` missed by a disk, `~` still to be answered.
fn rounds_strip(farm: &FarmPicture, width: u16) -> Paragraph<'static> {
    let rounds = &farm.rounds.rounds;
    let skipped = rounds.len().saturating_sub(usize::from(width.saturating_sub(2)));
    let marks = rounds.iter().skip(skipped).map(|round| match round.milliseconds {
        _ if !round.missed.is_empty() => Span::styled("!", BAD),
        Some(_) => Span::styled(".", GOOD),
        None => Span::styled("~", WARNING),
    });
    let slowest = rounds.iter().filter_map(|round| round.milliseconds).max();
    let slowest = slowest.map_or_else(String::new, |slowest| format!(", {slowest} ms at the most"));
    Paragraph::new(Line::from(marks.collect::<Vec<_>>()))
        .block(titled(&format!("rounds: . answered ! missed ~ waits{slowest}")))
}

fn draw_disks(frame: &mut Frame<'_>, area: Rect, farm: &FarmPicture, row: usize) {
    let rows = farm.status.disks.iter().map(|disk| disk_row(disk, farm));
    let head = ["disk", "plots", "size", "free", "round", "p50 ms", "p99 ms", "missed", "state", "plotting"];
    let table = table(&head, &[0, 7, 10, 10, 10, 7, 7, 7, 12, 24], rows.collect(), "disks");
    let table = table.row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let chosen = (!farm.status.disks.is_empty()).then(|| row.min(farm.status.disks.len() - 1));
    frame.render_stateful_widget(table, area, &mut TableState::default().with_selected(chosen));
}

fn disk_row(disk: &DiskStatus, farm: &FarmPicture) -> Row<'static> {
    let time = |time: Option<f64>| time.map_or_else(unknown, |time| format!("{time:.1}"));
    let state = match (disk.hangs, disk.faults.len()) {
        _ if disk.away => ("away".to_owned(), BAD),
        (true, _) => ("hangs".to_owned(), BAD),
        (false, 0) => ("good".to_owned(), GOOD),
        (false, faults) => (format!("{faults} faults"), BAD),
    };
    let plotting = farm.plotting.iter().find(|plotting| plotting.disk == disk.path);
    let plotting = plotting.map_or_else(String::new, |plotting| {
        let job = plotting.job.as_ref().filter(|job| !job.is_over);
        let job = job.map(|job| {
            let left = job.seconds_left.map(|left| human_time(std::time::Duration::from_secs(left)));
            format!("{:.1}% {}", job.percent, left.unwrap_or_default())
        });
        match (plotting.paused, job) {
            (true, job) => format!("paused {}", job.unwrap_or_default()),
            (false, Some(job)) => job,
            (false, None) if plotting.in_work == Some(true) => "by another program".to_owned(),
            (false, None) => String::new(),
        }
    });
    let cells = [
        disk.path.clone(),
        disk.plots.to_string(),
        human_bytes(disk.bytes),
        disk.free_bytes.map_or_else(unknown, human_bytes),
        disk.answered.map_or_else(unknown, |round| round.to_string()),
        time(disk.p50_milliseconds),
        time(disk.p99_milliseconds),
        disk.missed.to_string(),
    ];
    Row::new(
        cells.map(Cell::from).into_iter().chain([Cell::from(state.0).style(state.1), Cell::from(plotting)]),
    )
}

fn findings(farm: &FarmPicture) -> Paragraph<'static> {
    let mut lines = Vec::new();
    for finding in &farm.findings {
        let style = if finding.severity == Severity::Error { BAD } else { WARNING };
        lines.push(Line::styled(format!("{}: {}", finding.subject, finding.problem), style));
        lines.push(Line::raw(format!("  do: {}", finding.action)));
    }
    if lines.is_empty() {
        lines.push(Line::styled("nothing is seen to be wrong; mass farm doctor tries all parts out", GOOD));
    }
    Paragraph::new(lines).block(titled("findings")).wrap(Wrap { trim: false })
}

fn peers_table(nodes: &[Part<NodePicture>]) -> Table<'static> {
    let states = nodes.iter().filter_map(|part| part.state.as_ref());
    let rows = states.flat_map(|node| {
        node.peers.as_array().into_iter().flatten().map(|peer| {
            let text = |name: &str| peer[name].as_str().unwrap_or_default().to_owned();
            let way = if peer["inbound"] == true { "in" } else { "out" };
            Row::new([node.status.name.clone(), way.to_owned(), text("addr"), text("peerid"), text("subver")])
        })
    });
    table(&["chain", "way", "address", "peer", "software"], &[12, 4, 24, 0, 20], rows.collect(), "peers")
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use serde_json::json;

    use super::*;

    fn picture() -> Picture {
        let zero = "0".repeat(64);
        let disk = |path: &str, hangs: bool| {
            json!({ "path": path, "harvester": null, "plots": 32, "bytes": 20_971_520, "free_bytes": 1 << 30,
                "unfinished": [], "answered": 41, "missed": u8::from(hangs), "away": false, "hangs": hangs,
                "p50_milliseconds": 1.5, "p99_milliseconds": 9.25, "faults": [] })
        };
        let chain = json!({ "name": "dev", "chain": zero, "beacon": zero, "node": "http://127.0.0.1:1", "connected": true,
            "reason": null, "height": 7, "node_version": "0.1.0", "pending": null, "peers": 2, "synced": true,
            "clock_skew_slots": 0, "banned": null, "watch_slots": 0, "other_farmer": null, "reads": 128, "wins": 9,
            "lost": 0, "expected_wins": 10.0, "p_value": 0.45 });
        let status = json!({ "farmer": zero, "version": "0.1.0", "record_free_bytes": null,
            "disks": [disk("/mnt/a", false), disk("/mnt/b", true)], "harvesters": [], "chains": [chain], "rounds": 41,
            "reads": 128, "qualities": 12, "proofs": 9 });
        let round = |round: u64, milliseconds: Option<u64>, missed: &[&str]| {
            json!({ "beacon": zero, "chains": ["dev"], "round": round, "time": 0, "asked": 8, "reads": 16, "qualities": 1,
                "milliseconds": milliseconds, "is_over": true, "missed": missed })
        };
        let status: mass_rpc::farm::FarmStatus = serde_json::from_value(status).unwrap();
        let farm = FarmPicture {
            findings: mass_farmer::diagnose(status.clone(), Vec::new()).findings,
            luck: serde_json::from_value(json!({ "seconds": 60, "chains": [{ "name": "dev", "plot_bytes": 1,
                "netspace_bytes": "4", "share": 0.25, "seconds_per_win": 24.0, "wins": 9, "expected_wins": 10.0,
                "wins_low": 4, "wins_high": 17, "p_value": 0.45, "won": [] }] }))
            .unwrap(),
            rounds: serde_json::from_value(json!({ "rounds": [round(40, Some(3), &[]), round(41, Some(8), &["/mnt/b"]),
                round(42, None, &[])] }))
            .unwrap(),
            plotting: serde_json::from_value(json!([{ "disk": "/mnt/a", "in_work": true, "paused": false,
                "job": { "plots": 10, "made": 4, "percent": 42.5, "bytes_per_second": 9, "seconds_left": 90,
                    "is_over": false, "failure": null } }]))
            .unwrap(),
            status,
        };
        let node = NodePicture {
            status: serde_json::from_value(
                json!({ "version": "0.1.0", "name": "dev", "chain": zero, "height": 7, "tip": zero,
                "peers": 2, "reorgs": 1, "mempool": 3, "netspace_bytes": "4096", "synced": true, "listen": [],
                "banned": 0 }),
            )
            .unwrap(),
            pool: json!({ "bytes": 700 }),
            peers: json!([{ "inbound": true, "addr": "127.0.0.1:5", "peerid": "12D3", "subver": "/mass:0.1.0/" }]),
        };
        let lost =
            Part { url: "http://127.0.0.1:9".to_owned(), state: None, failure: Some("refused".to_owned()) };
        let there = |url: &str, state| Part { url: url.to_owned(), state: Some(state), failure: None };
        let nodes = vec![Part { state: Some(node), ..lost_like(&lost) }, lost];
        Picture { farm: there("http://127.0.0.1:2", farm), nodes }
    }

    fn lost_like<T>(part: &Part<T>) -> Part<T> {
        Part { url: part.url.clone(), state: None, failure: None }
    }

    fn shown(picture: &Picture, choice: &Choice, (columns, lines): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
        terminal.draw(|frame| draw(frame, picture, choice)).unwrap();
        super::super::lines_of(terminal.backend().buffer())
    }

    #[test]
    fn all_that_matters_is_shown() {
        let text = shown(&picture(), &Choice::default(), (140, 40));
        for part in [
            "1 troubles",
            "64 plots",
            "41 rounds",
            "synced",
            "4.00 KiB",
            "2 (1 in)",
            "refused",
            "25.0000%",
            "4-17",
            "10.0",
            "farms",
            ".!~",
            "8 ms at the most",
            "/mnt/a",
            "hangs",
            "9.2",
            "42.5%",
            "q end",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn keys_choose_panels_and_disks() {
        let (picture, mut choice) = (picture(), Choice::default());
        assert_eq!(choice.take(Key::Char('p'), &picture).as_deref(), Some("/mnt/a"));
        choice.take(Key::Down, &picture);
        choice.take(Key::Down, &picture);
        assert_eq!(choice.take(Key::Char('p'), &picture).as_deref(), Some("/mnt/b"));
        choice.take(Key::Char('\t'), &picture);
        let text = shown(&picture, &choice, (100, 40));
        assert!(text.contains("do: check cable"), "{text}");
        choice.take(Key::Char('\t'), &picture);
        assert!(shown(&picture, &choice, (100, 40)).contains("12D3"));
        choice.take(Key::Char('?'), &picture);
        assert!(shown(&picture, &choice, (100, 40)).contains("pause or resume plotting"));
    }

    #[test]
    fn no_size_and_no_absence_is_a_panic() {
        for size in [(1, 1), (3, 2), (20, 5), (80, 10), (1_000, 3)] {
            shown(&picture(), &Choice::default(), size);
            shown(&Picture::default(), &Choice::default(), size);
        }
    }
}
