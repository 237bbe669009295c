//! The floors of the house: which of our crates may depend on which.
//!
//! Normal and build dependencies count. Dev-dependencies do not: a test may borrow from anywhere,
//! and cannot leak into what is shipped. Third-party crates are not judged here.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

/// Where a crate stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// The engine; each knows only those with a smaller number.
    Ground(u8),
    /// A storey above the ground; crates on one storey do not know each other.
    Floor(u8),
    /// The binary, above everything.
    Top,
    /// Tools; nothing depends on them, but for the binary, which runs the simulator.
    Beside,
}

const HOUSE: [(&str, Place); 18] = [
    ("mass-primitives", Place::Ground(0)),
    ("mass-proof-of-space", Place::Ground(1)),
    ("mass-consensus", Place::Ground(2)),
    ("mass-ledger-utxo", Place::Floor(1)),
    ("mass-ledger-evm", Place::Floor(1)),
    ("mass-mempool", Place::Floor(1)),
    ("mass-storage", Place::Floor(2)),
    ("mass-network", Place::Floor(2)),
    ("mass-rpc", Place::Floor(2)),
    ("mass-plot", Place::Floor(2)),
    ("mass-node", Place::Floor(3)),
    ("mass-farmer", Place::Floor(3)),
    ("mass-wallet", Place::Floor(3)),
    ("mass-page", Place::Floor(3)),
    ("mass", Place::Top),
    ("mass-simulator", Place::Beside),
    ("notes", Place::Beside),
    ("xtask", Place::Beside),
];

/// One dependency of one of our crates on another.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Edge {
    from: String,
    to: String,
}

/// Checks the workspace in `root`.
///
/// # Errors
/// Cargo cannot be asked, or an edge goes the wrong way, or a crate has no place.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .context("cannot start cargo")?;
    let error = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "cargo metadata failed: {error}");
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let (packages, edges) = read_metadata(&metadata)?;
    crate::report("layers", &findings(&packages, &edges))
}

/// The packages of the workspace and the shipped edges between them.
fn read_metadata(metadata: &Value) -> anyhow::Result<(Vec<String>, Vec<Edge>)> {
    let listed = metadata["packages"].as_array().context("metadata lists packages")?;
    let names: Vec<String> =
        listed.iter().filter_map(|package| package["name"].as_str()).map(str::to_owned).collect();
    let mut edges = Vec::new();
    for package in listed {
        let from = package["name"].as_str().context("a package has a name")?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().context("a dependency has a name")?;
            let is_shipped = dependency["kind"].as_str() != Some("dev");
            let is_ours = dependency["path"].is_string() && names.iter().any(|name| name == to);
            if is_shipped && is_ours {
                edges.push(Edge { from: from.to_owned(), to: to.to_owned() });
            }
        }
    }
    Ok((names, edges))
}

/// What is wrong with this house; empty when nothing is.
fn findings(packages: &[String], edges: &[Edge]) -> Vec<String> {
    let homeless = packages
        .iter()
        .filter(|package| place(package).is_none())
        .map(|package| format!("{package} has no place; give it one in xtask/src/layers.rs"));
    let wrong = edges.iter().filter(|edge| !allowed(edge)).map(|edge| {
        let (from, to) = (describe(&edge.from), describe(&edge.to));
        format!("{} ({from}) must not depend on {} ({to})", edge.from, edge.to)
    });
    homeless.chain(wrong).collect()
}

fn place(package: &str) -> Option<Place> {
    HOUSE.iter().find(|(name, _)| *name == package).map(|(_, place)| *place)
}

fn describe(package: &str) -> String {
    match place(package) {
        Some(Place::Ground(order)) => format!("ground, step {order}"),
        Some(Place::Floor(storey)) => format!("floor {storey}"),
        Some(Place::Top) => "top".to_owned(),
        Some(Place::Beside) => "beside".to_owned(),
        None => "no place".to_owned(),
    }
}

fn allowed(edge: &Edge) -> bool {
    let (Some(from), Some(to)) = (place(&edge.from), place(&edge.to)) else {
        return false;
    };
    match (from, to) {
        // The binary offers the laboratory as `mass sim`.
        (Place::Top, Place::Beside) => edge.to == "mass-simulator",
        // Tools may use the whole house, but not each other.
        (_, Place::Beside) => false,
        (Place::Beside, _) => true,
        (_, Place::Top) => false,
        (Place::Top, _) => true,
        (Place::Ground(upper), Place::Ground(lower)) => lower < upper,
        (Place::Ground(_), Place::Floor(_)) => false,
        (Place::Floor(_), Place::Ground(_)) => true,
        (Place::Floor(upper), Place::Floor(lower)) => lower < upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(edges: &[(&str, &str)]) -> Vec<String> {
        let edges: Vec<Edge> =
            edges.iter().map(|(from, to)| Edge { from: (*from).to_owned(), to: (*to).to_owned() }).collect();
        findings(&[], &edges)
    }

    #[test]
    fn edges_that_go_down_pass() {
        let edges = [
            ("mass-consensus", "mass-proof-of-space"),
            ("mass-consensus", "mass-primitives"),
            ("mass-ledger-utxo", "mass-consensus"),
            ("mass-plot", "mass-proof-of-space"),
            ("mass-rpc", "mass-ledger-utxo"),
            ("mass-node", "mass-storage"),
            ("mass", "mass-node"),
            ("mass-simulator", "mass-node"),
            ("mass", "mass-simulator"),
        ];
        assert_eq!(check(&edges), Vec::<String>::new());
    }

    #[test]
    fn each_edge_that_does_not_go_down_is_found() {
        let edges = [
            ("mass-primitives", "mass-consensus"),
            ("mass-proof-of-space", "mass-consensus"),
            ("mass-consensus", "mass-ledger-utxo"),
            ("mass-mempool", "mass-ledger-utxo"),
            ("mass-mempool", "mass-storage"),
            ("mass-storage", "mass-plot"),
            ("mass-farmer", "mass-node"),
            ("mass-node", "mass"),
            ("mass", "xtask"),
            ("mass-node", "mass-simulator"),
            ("mass-node", "xtask"),
            ("mass-simulator", "xtask"),
            ("mass-node", "mass-unheard-of"),
        ];
        for edge in edges {
            assert_eq!(check(&[edge]).len(), 1, "{edge:?}");
        }
    }

    #[test]
    fn a_package_without_a_place_is_found() {
        let packages = ["mass".to_owned(), "mass-toolbox".to_owned()];
        let found = findings(&packages, &[]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("mass-toolbox has no place"));
    }

    #[test]
    fn metadata_is_read_without_dev_and_foreign_dependencies() {
        let metadata = serde_json::json!({"packages": [
            {"name": "mass-node", "dependencies": [
                {"name": "mass-rpc", "kind": null, "path": "crates/rpc"},
                {"name": "mass-plot", "kind": "build", "path": "crates/plot"},
                {"name": "mass-wallet", "kind": "dev", "path": "crates/wallet"},
                {"name": "serde", "kind": null}]},
            {"name": "mass-rpc", "dependencies": []},
            {"name": "mass-plot", "dependencies": []},
            {"name": "mass-wallet", "dependencies": []}]});
        let (packages, edges) = read_metadata(&metadata).unwrap();
        assert_eq!(packages.len(), 4);
        let to: Vec<&str> = edges.iter().map(|edge| edge.to.as_str()).collect();
        assert_eq!(to, ["mass-rpc", "mass-plot"]);
    }
}
