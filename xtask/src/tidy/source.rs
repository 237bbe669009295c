//! Rules for Rust files: opening, lengths, names, and the purity of the engine and the ledgers.
//!
//! The scan trusts rustfmt: an item ends at the first closing brace on its own indent. It does not
//! parse Rust, and a raw string laid out like code can mislead it.

use anyhow::Context as _;

const FILE_LINES_MAX: usize = 900;
const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing about what is inside.
const REFUSED_NAMES: [&str; 9] =
    ["util", "common", "core", "shared", "misc", "helpers", "manager", "types", "base"];

/// The crates of the ground and of floor 1.
const PURE_CRATES: [&str; 6] =
    ["primitives", "proof-of-space", "consensus", "ledger-utxo", "ledger-evm", "mempool"];

/// What a pure crate must not hold: unsafety, concurrency, a clock, an order that varies by run.
const IMPURE: [&str; 5] = ["unsafe ", "async fn", "std::time", "SystemTime", "HashMap"];

/// Everything wrong with one file, except the lengths of its functions.
pub fn check(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(opening(path, text));
    found.extend(file_length(path, text));
    found.extend(names(path, text));
    found.extend(purity(path, text));
    found
}

fn opening(path: &str, text: &str) -> Option<String> {
    (!text.starts_with("//!")).then(|| format!("{path}:1: opens without `//!`"))
}

fn file_length(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > FILE_LINES_MAX).then(|| format!("{path}: {lines} lines, the limit is {FILE_LINES_MAX}"))
}

/// Refused names in the path of the file (crate, folders, file) and in its inline modules.
fn names(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in path.split('/') {
        let name = part.trim_end_matches(".rs");
        if REFUSED_NAMES.contains(&name.trim_start_matches("mass-")) {
            found.push(format!("{path}: the name `{name}` is refused, it says nothing"));
        }
    }
    for (number, line) in numbered(text) {
        let declared = without_visibility(line.trim_start()).strip_prefix("mod ");
        if let Some(name) = declared.and_then(|rest| rest.strip_suffix('{')).map(str::trim)
            && REFUSED_NAMES.contains(&name)
        {
            found.push(format!("{path}:{number}: the name `{name}` is refused, it says nothing"));
        }
    }
    found
}

fn purity(path: &str, text: &str) -> Vec<String> {
    let is_pure = PURE_CRATES.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")));
    if !is_pure {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in numbered(text) {
        let code = line.split("//").next().unwrap_or_default();
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            found.push(format!("{path}:{number}: `{}` in a pure crate", word.trim_end()));
        }
    }
    found
}

/// A function that is longer than the limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LongFunction {
    path: String,
    name: String,
    lines: usize,
}

/// The functions of one file that are longer than the limit, from signature to closing brace.
pub fn long_functions(path: &str, text: &str) -> Vec<LongFunction> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let length = item_length(&lines[start..]);
        if length > FUNCTION_LINES_MAX {
            found.push(LongFunction { path: path.to_owned(), name: name.to_owned(), lines: length });
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = without_visibility(line.trim_start());
    for word in ["const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    rest.strip_prefix("fn ")?.split(['(', '<']).next()
}

fn without_visibility(line: &str) -> &str {
    match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => {
            rest.split_once(')').map_or(line, |(_, after)| after.trim_start())
        }
        Some(rest) if rest.starts_with(' ') => rest.trim_start(),
        _ => line,
    }
}

/// Lines up to the end of the item that starts on the first line: a line on the same indent that
/// closes the body, or ends a signature that has none.
fn item_length(lines: &[&str]) -> usize {
    let indent = indent(lines[0]);
    let ends = |line: &&str| {
        let text = line.trim();
        indent_is(line, indent) && (text == "}" || text.ends_with(';') || text.ends_with(" {}"))
    };
    let is_one_line = lines[0].ends_with('}') || lines[0].ends_with(';');
    if is_one_line {
        return 1;
    }
    lines.iter().position(ends).map_or(lines.len(), |end| end + 1)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn indent_is(line: &str, expected: usize) -> bool {
    !line.trim().is_empty() && indent(line) == expected
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// The functions that were too long when the limit came: `path name lines` per line.
pub struct Ratchet(Vec<LongFunction>);

impl Ratchet {
    /// Reads the list; `#` starts a comment line.
    ///
    /// # Errors
    /// A line that is not `path name lines`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut entries = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [path, name, lines] = fields[..] else {
                anyhow::bail!("ratchet: `{line}` is not `path name lines`");
            };
            let lines = lines.parse().with_context(|| format!("ratchet: `{line}`"))?;
            entries.push(LongFunction { path: path.to_owned(), name: name.to_owned(), lines });
        }
        Ok(Self(entries))
    }

    /// Long functions that are not listed or have grown, and entries that are no longer true.
    pub fn check(&self, functions: &[LongFunction]) -> Vec<String> {
        let unlisted = functions.iter().filter(|function| !self.0.contains(function)).map(|function| {
            let LongFunction { path, name, lines } = function;
            format!("{path}: fn {name} has {lines} lines, the limit is {FUNCTION_LINES_MAX}")
        });
        let stale = self.0.iter().filter(|entry| !functions.contains(entry)).map(|entry| {
            let LongFunction { path, name, lines } = entry;
            format!("ratchet: `{path} {name} {lines}` is no longer true; if it shrank, say so there")
        });
        unlisted.chain(stale).collect()
    }
}

#[cfg(test)]
mod tests;
