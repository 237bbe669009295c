//! What the files in ops/ hold.
#![allow(dead_code, reason = "each test uses a part")]

use std::{collections::BTreeSet, fs};

/// The text of a file.
pub fn read(name: &str) -> String {
    let path = format!("{}/../../ops/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics that files name.
pub fn named(files: &[&str]) -> BTreeSet<String> {
    let text: String = files.iter().map(|name| read(name)).collect();
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("mass_")).map(str::to_owned).collect()
}
