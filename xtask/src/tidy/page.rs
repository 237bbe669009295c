//! Whether the page that is committed was built from the sources that are: no Node.js is needed to tell.
//!
//! The build writes `page/built.sha256`: the hash of each file that it read and of each that it made, as `sha256sum`
//! writes it. A source that was changed since, was added or is gone is a finding, and so is a built file that somebody edited.

use std::collections::BTreeMap;

/// What the build writes.
pub(super) const LIST: &str = "page/built.sha256";

/// All that a build reads and makes, as `page/plugins/built.ts` has it.
const BUILT: &[&str] = &[
    "page/dist/",
    "page/index.html",
    "page/languages/",
    "page/package-lock.json",
    "page/package.json",
    "page/plugins/",
    "page/public/",
    "page/src/",
    "page/tsconfig.json",
    "page/vite.config.ts",
    "verifier-js/src/",
];

/// Whether a file is one that a build reads or makes.
pub(super) fn is_built(path: &str) -> bool {
    BUILT.iter().any(|known| if known.ends_with('/') { path.starts_with(known) } else { path == *known })
}

/// Compares the list with the hashes of the files that are there.
pub(super) fn check(list: &str, files: &BTreeMap<String, String>) -> Vec<String> {
    let mut listed = BTreeMap::new();
    for line in list.lines() {
        match line.split_once("  ") {
            Some((hash, path)) => drop(listed.insert(path, hash)),
            None => return vec![format!("{LIST}: a line is not of sha256sum: {line}")],
        }
    }
    let again = "build the page again: cd page && npm ci && npm run build";
    let changed = files.iter().filter_map(|(path, hash)| match listed.get(path.as_str()) {
        None => Some(format!("{path}: the page was built without it; {again}")),
        Some(built) if built != hash => {
            Some(format!("{path}: it is not what the page was built from; {again}"))
        }
        Some(_) => None,
    });
    let gone = listed.keys().filter(|path| !files.contains_key(**path));
    let gone = gone.map(|path| format!("{path}: the page was built from it, and it is gone; {again}"));
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_its_sources_did_not_make_is_found() {
        let files = |list: &[(&str, &str)]| {
            list.iter().map(|(path, hash)| ((*path).to_owned(), (*hash).to_owned())).collect()
        };
        let list = "aa  page/src/main.ts\nbb  page/dist/index.html\n";
        assert!(
            check(list, &files(&[("page/src/main.ts", "aa"), ("page/dist/index.html", "bb")])).is_empty()
        );
        for (files, expected) in [
            (files(&[("page/src/main.ts", "ab"), ("page/dist/index.html", "bb")]), "is not what"),
            (files(&[("page/src/main.ts", "aa")]), "is gone"),
            (
                files(&[
                    ("page/src/main.ts", "aa"),
                    ("page/dist/index.html", "bb"),
                    ("page/src/new.ts", "cc"),
                ]),
                "built without it",
            ),
        ] {
            let found = check(list, &files);
            assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
        }
        assert!(is_built("page/src/lib/json.ts") && is_built("verifier-js/src/index.ts"));
        assert!(!is_built("page/e2e/page.test.js") && !is_built("page/package.json.bak"));
    }
}
