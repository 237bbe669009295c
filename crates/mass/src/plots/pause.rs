//! `mass plots pause` and `resume`, for plotters that run anywhere on this machine.

use std::path::PathBuf;

use mass_plot::{is_plotting, pause, resume};
use serde_json::{Value, json};

use super::Dirs;
use crate::output::{Output, Verdict};

/// Pauses the plotters of directories, or lets them go on.
pub fn set_paused(dirs: &Dirs, paused: bool, output: Output) -> anyhow::Result<Verdict> {
    let (mut text, mut values) = (String::new(), Vec::new());
    for dir in &dirs.dirs {
        let is_news = if paused { pause(dir)? } else { resume(dir)? };
        let plotting = is_plotting(dir)?;
        text.push_str(&format!("{}: {}\n", dir.display(), describe(paused, is_news, plotting)));
        values.push(value(dir, paused, is_news, plotting));
    }
    output.result(&json!({ "directories": values }), &text)?;
    Ok(Verdict::Good)
}

fn value(dir: &PathBuf, paused: bool, changed: bool, plotting: bool) -> Value {
    json!({ "path": dir, "paused": paused, "changed": changed, "plotting": plotting })
}

fn describe(paused: bool, is_news: bool, plotting: bool) -> &'static str {
    match (paused, is_news, plotting) {
        (true, true, true) => "paused; the plotter there rests until `mass plots resume`",
        (true, true, false) => "paused; no plotter is at work there, and one that comes will wait",
        (true, false, _) => "was paused already",
        (false, true, true) => "resumed; the plotter there goes on",
        (false, true, false) => "resumed; no plotter is at work there",
        (false, false, _) => "was not paused",
    }
}
