//! A node of the chain of notes.

mod ledger;

fn main() -> std::process::ExitCode {
    mass_node::program::main::<ledger::Notes>(include_str!("../chain.json"))
}
