//! Rules for documents: a path that is written must be there.
//!
//! Only paths in backticks that start in one of our folders are checked. Patterns and placeholders
//! are left alone, and so are fenced blocks.

/// The folders whose paths are checked.
const FOLDERS: [&str; 4] = ["crates/", "docs/", "vectors/", "xtask/"];

/// Whether the rules hold for the document at `path`.
pub fn is_checked(path: &str) -> bool {
    let is_at_root = path == "README.md" || path == "ARCHITECTURE.md";
    is_at_root || (path.starts_with("docs/") && path.ends_with(".md"))
}

/// The paths in `text` that `exists` denies.
pub fn check(document: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            let missing = named_paths(line).filter(|named| !exists(named));
            found.extend(missing.map(|named| format!("{document}:{}: no `{named}`", index + 1)));
        }
    }
    found
}

/// What stands between backticks and looks like a path of ours, without line number or anchor.
fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| FOLDERS.iter().any(|folder| quoted.starts_with(folder)))
        .filter(|quoted| !quoted.contains(['*', '<', '{', '…']))
        .filter_map(|quoted| quoted.split([' ', ':', '#']).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(text: &str) -> usize {
        check("README.md", text, |path| path == "crates/plot" || path == "docs/a.md").len()
    }

    #[test]
    fn paths_that_exist_pass() {
        assert_eq!(missing("See `crates/plot` and `docs/a.md#part`, not `src/x.rs`."), 0);
        assert_eq!(missing("Each `crates/<name>` and `vectors/*.json`; crates/gone in prose."), 0);
        assert_eq!(missing("```\n`crates/gone`\n```\n"), 0);
    }

    #[test]
    fn paths_that_do_not_exist_are_found() {
        assert_eq!(missing("`crates/gone`"), 1);
        assert_eq!(missing("`docs/a.md` then `docs/b.md:12` and `vectors/c.json`"), 2);
        assert_eq!(missing("```\n```\n`xtask/gone.rs`"), 1);
    }

    #[test]
    fn only_the_lasting_documents_are_checked() {
        assert!(is_checked("docs/spec/plots.md"));
        assert!(is_checked("ARCHITECTURE.md"));
        assert!(!is_checked("CHANGELOG.md"));
    }
}
