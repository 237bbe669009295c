//! What it costs that each block is on disk before the next one comes: `commit_cost DIRECTORY`, on the disk that is asked
//! about. Blocks of 1 kB that change 4 entries, as empty ones do, and of 25 kB that change 200, as ones with 100 payments do;
//! with more and more slack. The figures are in docs/storage.md.

use std::{env, error::Error, io::Write as _, path::Path, time::Instant};

use mass_consensus::ledger::StateDelta;
use mass_primitives::{BlockId, ChainId, Height, Ticket};
use mass_storage::{ConnectBlock, Slack, Store};

const BLOCKS: u32 = 1_000;

fn id(height: u32) -> BlockId {
    let mut bytes = [0; 32];
    // Ids are spread as hashes are.
    bytes.chunks_mut(4).zip(1u32..).for_each(|(part, number)| {
        part.copy_from_slice(&height.wrapping_mul(2_654_435_761).rotate_left(number).to_le_bytes());
    });
    bytes[..4].copy_from_slice(&height.wrapping_mul(2_654_435_761).to_be_bytes());
    BlockId::new(bytes)
}

/// Blocks in a second.
fn rate(place: &Path, slack: Option<Slack>, body: usize, changes: u32) -> Result<f64, Box<dyn Error>> {
    let path = place.join("commit_cost.redb");
    let _ = std::fs::remove_file(&path);
    let store = Store::open(&path, &ChainId::new([7; 32]))?;
    store.set_slack(slack)?;
    let body = vec![7; body];
    let start = Instant::now();
    for height in 0..BLOCKS {
        let mut delta = StateDelta::new();
        for change in 0..changes {
            let key = |height: u32| [id(height).as_bytes().as_slice(), &change.to_be_bytes()].concat();
            delta.put(key(height), vec![1; 40]);
            if let Some(spent) = height.checked_sub(10).filter(|_| change % 2 == 0) {
                delta.delete(key(spent));
            }
        }
        store.connect(&ConnectBlock {
            id: id(height),
            height: Height::new(height),
            parent: height.checked_sub(1).map(id),
            seal: None,
            ticket: Ticket::ZERO,
            banned: &[],
            header_bytes: &[7; 900],
            body: &body,
            delta: &delta,
            indexes: &[],
        })?;
    }
    store.sync()?;
    let rate = f64::from(BLOCKS) / start.elapsed().as_secs_f64();
    drop(store);
    std::fs::remove_file(&path)?;
    Ok(rate)
}

fn main() -> Result<(), Box<dyn Error>> {
    let place = env::args().nth(1).ok_or("usage: commit_cost DIRECTORY")?;
    let mut out = std::io::stdout();
    writeln!(out, "| commits at once | blocks/s, 1 kB | blocks/s, 25 kB |\n|---|---|---|")?;
    for commits in [1, 8, 32, 256, 1_000] {
        let slack = Some(Slack { commits, bytes: 32 << 20 });
        let [small, large] =
            [(1_000, 4), (25_000, 200)].map(|(body, changes)| rate(Path::new(&place), slack, body, changes));
        writeln!(out, "| {commits} | {:.0} | {:.0} |", small?, large?)?;
    }
    Ok(())
}
