//! Builds again when the page's files change: what is embedded is read while compiling.

fn main() {
    println!("cargo::rerun-if-changed=../../page/dist");
}
