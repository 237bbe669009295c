//! `mass node export` and `import` as a person runs them: out of a directory, out of a running node, into another one, and
//! with everything that can be wrong.

mod farmed;
mod processes;

use std::{fs, path::Path, process::Output};

use farmed::farmed;
use mass_node::export::{BlockWriter, Preamble};
use mass_primitives::Height;
use processes::Home;

/// Blocks of the chain that is carried.
const BLOCKS: u32 = 6;

fn refused(output: &Output, reason: &str) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text.starts_with("error: ") && text.lines().count() == 1 && text.contains(reason), "{text}");
}

/// What is not built for chains that inherit their beacon is refused with what to do instead.
#[test]
fn a_chain_that_inherits_its_beacon_is_not_imported_or_put_together_anew_and_says_so() {
    let home = Home::new();
    let [file, dir] = ["file", "dir"].map(|name| home.path(name));
    let spec = mass_consensus::spec::ChainSpec::built_in("dev2").unwrap();
    let preamble = Preamble { chain: *spec.id(), first: Height::new(1), count: 0 };
    fs::write(&file, BlockWriter::new(Vec::new(), &preamble).unwrap().finish().unwrap()).unwrap();
    let run = |args: &[&str]| {
        let place = ["--chain", "dev2", "--data-dir", dir.to_str().unwrap()];
        home.command(&[&["node"], args, &place].concat()).output().unwrap()
    };
    refused(&run(&["import", file.to_str().unwrap()]), "its blocks come from peers, beside its parent's");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("chain.redb"), [7; 9000]).unwrap();
    let repair = run(&["db", "repair"]);
    let text = String::from_utf8(repair.stderr).unwrap();
    assert!(
        repair.status.code() == Some(1) && text.contains("the node gets the chain from its peers anew"),
        "{text}"
    );
    assert_eq!(fs::read(dir.join("chain.redb")).unwrap(), [7; 9000]);
}

#[test]
fn a_chain_is_carried_from_node_to_node() {
    let home = Home::new();
    let text = |name: &str| home.path(name).to_str().unwrap().to_owned();
    let [from, into, whole, part, again] = ["from", "into", "whole", "part", "again"].map(text);
    let tip = farmed(Path::new(&from), &[[7; 32]], BLOCKS).to_string();
    let run = |args: &[&str]| home.command(args).output().unwrap();

    let made = home.json(&["node", "export", &whole, "--data-dir", &from]);
    assert_eq!((made["blocks"].as_u64(), made["to"].as_u64()), (Some(BLOCKS.into()), Some(BLOCKS.into())));
    assert_eq!(made["bytes"], fs::metadata(&whole).unwrap().len());
    assert!(!Path::new(&format!("{whole}.tmp")).exists());
    refused(&run(&["node", "export", &whole, "--data-dir", &from]), "is not overwritten");
    refused(&run(&["node", "export", &again, "--data-dir", &text("nowhere")]), "no database of a node");
    refused(&run(&["node", "export", &again, "--data-dir", &from, "--to", "99"]), "from 1 to 6");
    refused(&run(&["node", "export", &again, "--data-dir", &from, "--chain", "testnet"]), "chain");
    assert!(!Path::new(&again).exists(), "what failed leaves nothing");

    // A fault in the fourth block: three are taken, and the good file goes on.
    home.json(&["node", "export", &part, "--data-dir", &from, "--from", "4", "--to", "4"]);
    refused(&run(&["node", "import", &part, "--data-dir", &into]), "the parent of block 4 is not known here");
    let mut bad = fs::read(&whole).unwrap();
    let fourth = fs::read(&part).unwrap()[56..].to_vec();
    let at = bad.windows(fourth.len()).position(|some| some == fourth).unwrap();
    bad[at + 40] ^= 1;
    fs::write(text("bad"), bad).unwrap();
    refused(&run(&["node", "import", &text("bad"), "--data-dir", &into]), "3 of 6 blocks are taken");
    refused(
        &run(&["node", "import", &whole, "--data-dir", &into, "--chain", "testnet"]),
        "has blocks of chain",
    );
    let taken = home.json(&["node", "import", &whole, "--data-dir", &into]);
    assert_eq!(
        (taken["taken"].as_u64(), taken["known"].as_u64(), taken["tip"].as_str()),
        (Some(3), Some(3), Some(&*tip))
    );
    let known = home.json(&["node", "import", &whole, "--data-dir", &into]);
    assert_eq!((known["taken"].as_u64(), known["known"].as_u64()), (Some(0), Some(6)));

    // A node that runs has its database alone, and exports by RPC.
    let node = home.node("into", &[]);
    refused(&run(&["node", "export", &again, "--data-dir", &into]), "--node");
    home.json(&["node", "export", &again, "--node", &node.url]);
    assert_eq!(fs::read(&again).unwrap(), fs::read(&whole).unwrap());
    refused(
        &run(&["node", "export", &text("other"), "--node", &node.url, "--chain", "testnet"]),
        "the node is of chain",
    );
}
