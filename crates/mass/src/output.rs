//! The one place that writes results: text for people, JSON for scripts.
//!
//! A reader that stops reading, as `head` does, is no error.

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::Context;
use serde_json::Value;

/// Whether everything was as it should be. An error says that a command could not do its work, a bad
/// verdict that it could, and found a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No fault.
    Good,
    /// A fault, which the result names.
    Bad,
}

impl Verdict {
    /// Good if so.
    pub const fn good_if(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

/// How a result is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// As JSON.
    pub json: bool,
}

impl Output {
    /// Writes a result in the one form or the other.
    pub fn result(self, json: &Value, text: &str) -> anyhow::Result<()> {
        self.written(&format!("{json:#}"), text)
    }

    /// Writes a result whose JSON is a text already.
    pub fn written(self, json: &str, text: &str) -> anyhow::Result<()> {
        Self::write(if self.json { json } else { text.trim_end() })
    }

    /// Writes one of many results, a line each.
    pub fn line(self, json: &Value, text: &str) -> anyhow::Result<()> {
        Self::write(&if self.json { json.to_string() } else { text.to_owned() })
    }

    fn write(written: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{written}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("the result cannot be written")
            }
            _ => Ok(()),
        }
    }
}

/// Tells a person something that is not the result.
pub fn note(text: &str) {
    eprintln!("{text}");
}

/// A number of bytes for people, in powers of 1024.
pub fn human_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A time for people, to the second.
pub fn human_time(time: Duration) -> String {
    indicatif::HumanDuration(time).to_string()
}

/// Lines up the columns of a table.
pub fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "c".to_owned()]];
        assert_eq!(table(&rows), "a     b\nlong  c\n");
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(human_bytes(512), "512 B");
        assert_eq!(human_bytes(3 << 30), "3.00 GiB");
    }
}
