//! What can be said of several transactions at once, as `testmempoolaccept` and `submitpackage` take them, before any of
//! them is judged: Bitcoin Core's rules for packages, and its words.

use std::collections::BTreeSet;

use mass_mempool::{CoinKey, EntryId};

use crate::{chain::Chain, error::ChainError, ledger::NodeLedger};

/// A list of transactions by what they spend and create.
pub(super) struct List {
    pub(super) ids: Vec<EntryId>,
    spends: Vec<Vec<CoinKey>>,
    creates: Vec<Vec<CoinKey>>,
}

impl List {
    /// Reads transactions.
    ///
    /// # Errors
    /// One of them is none.
    pub(super) fn read<L: NodeLedger>(chain: &Chain<L>, list: &[Vec<u8>]) -> Result<Self, ChainError> {
        let ledger = chain.ledger();
        Ok(Self {
            ids: list.iter().map(|bytes| ledger.transaction_id(bytes)).collect::<Result<_, _>>()?,
            spends: list.iter().map(|bytes| ledger.coins_spent_by(bytes)).collect(),
            creates: list.iter().map(|bytes| ledger.coins_of(bytes)).collect(),
        })
    }

    /// Why the list is no package, if it is none. One transaction alone always is.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.ids.len() < 2 {
            return None;
        }
        let mut ids = BTreeSet::new();
        if !self.ids.iter().all(|id| ids.insert(id)) {
            return Some("package-contains-duplicates");
        }
        let mut later: BTreeSet<&CoinKey> = self.creates.iter().flatten().collect();
        for (spends, creates) in self.spends.iter().zip(&self.creates) {
            if spends.iter().any(|coin| later.contains(coin)) {
                return Some("package-not-sorted");
            }
            for coin in creates {
                later.remove(coin);
            }
        }
        let mut spent = BTreeSet::new();
        let is_spent_once = self.spends.iter().all(|spends| {
            let own: BTreeSet<&CoinKey> = spends.iter().collect();
            own.into_iter().all(|coin| spent.insert(coin))
        });
        (!is_spent_once).then_some("conflict-in-package")
    }

    /// Whether the last one spends of each of the others, and these do not spend of each other.
    pub(super) fn is_child_with_parents(&self) -> bool {
        let (Some((child, others)), Some((_, parents))) =
            (self.spends.split_last(), self.creates.split_last())
        else {
            return false;
        };
        let created: BTreeSet<&CoinKey> = parents.iter().flatten().collect();
        parents.iter().all(|creates| creates.iter().any(|coin| child.contains(coin)))
            && !others.iter().flatten().any(|coin| created.contains(coin))
    }
}
