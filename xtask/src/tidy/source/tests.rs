//! Each rule for Rust files, once kept and once broken.

use super::*;

fn function_of(lines: usize) -> String {
    let body = "        work();\n".repeat(lines - 2);
    format!("impl Thing {{\n    pub(crate) fn long<T>(&self) {{\n{body}    }}\n}}\n")
}

#[test]
fn a_file_opens_with_its_purpose() {
    assert_eq!(opening("a.rs", "//! What, why.\n"), None);
    assert!(opening("a.rs", "use std::fmt;\n").is_some());
}

#[test]
fn a_file_stops_at_the_limit() {
    assert_eq!(file_length("a.rs", &"x\n".repeat(FILE_LINES_MAX)), None);
    assert!(file_length("a.rs", &"x\n".repeat(FILE_LINES_MAX + 1)).is_some());
}

#[test]
fn names_that_say_nothing_are_refused() {
    assert!(names("crates/plot/src/table.rs", "mod tests {\n").is_empty());
    for path in ["crates/common/src/lib.rs", "crates/plot/src/util.rs", "crates/plot/src/types/a.rs"] {
        assert_eq!(names(path, "").len(), 1, "{path}");
    }
    assert_eq!(names("crates/plot/src/table.rs", "pub(crate) mod helpers {\n").len(), 1);
}

#[test]
fn pure_crates_hold_nothing_impure() {
    let path = "crates/consensus/src/engine.rs";
    for line in ["unsafe { x }", "async fn f() {}", "use std::time::Instant;", "HashMap::new()"] {
        assert_eq!(purity(path, line).len(), 1, "{line}");
        assert!(purity("crates/network/src/lib.rs", line).is_empty(), "{line}");
    }
    assert!(purity(path, "#![forbid(unsafe_code)]\n// a HashMap would not do\n").is_empty());
}

#[test]
fn a_function_fits_a_screen() {
    assert!(long_functions("a.rs", &function_of(FUNCTION_LINES_MAX)).is_empty());
    let found = long_functions("a.rs", &function_of(FUNCTION_LINES_MAX + 1));
    assert_eq!(found, Ratchet::parse("a.rs long 71").unwrap().0);
}

#[test]
fn signatures_without_a_body_are_short() {
    let rest = "    // a line\n".repeat(FUNCTION_LINES_MAX);
    for signature in ["    fn a(&self);\n", "    fn a(\n        x: u8,\n    ) -> u8;\n", "    fn a() {}\n"] {
        let text = format!("trait T {{\n{signature}{rest}}}\n");
        assert!(long_functions("a.rs", &text).is_empty(), "{signature}");
    }
}

#[test]
fn function_names_are_found_behind_qualifiers() {
    assert_eq!(function_name("    pub const unsafe fn a<T>(x: T) {"), Some("a"));
    assert_eq!(function_name("async fn b() {"), Some("b"));
    assert_eq!(function_name("let f: fn(u8) = g;"), None);
    assert_eq!(function_name("// fn c() {"), None);
}

#[test]
fn the_ratchet_only_turns_one_way() {
    let listed = Ratchet::parse("# why\n\na.rs long 80\n").unwrap();
    let of = |lines| LongFunction { path: "a.rs".to_owned(), name: "long".to_owned(), lines };
    assert!(listed.check(&[of(80)]).is_empty());
    assert!(!listed.check(&[of(81)]).is_empty(), "it grew");
    assert!(!listed.check(&[of(75)]).is_empty(), "it shrank and the list does not say so");
    assert!(!listed.check(&[]).is_empty(), "it is gone and the list does not say so");
    assert!(Ratchet::parse("a.rs long").is_err());
}
