//! Random chains: whoever farms, pays and is banned, the books balance and each block can be undone.

use mass_primitives::{Amount, Decode, Encode, Height};
use proptest::prelude::*;

use super::chain::{Chain, Person, farmer, unsigned};
use crate::{Coin, LedgerError, PendingReward, reward::pending_of};

/// One block: its farmer, whom it bans, and whether the newest coin of person 1 is paid on.
fn blocks() -> impl Strategy<Value = Vec<(u8, Vec<u8>, bool)>> {
    let bans = prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(1u8..5, 1..3)];
    prop::collection::vec((1u8..5, bans, any::<bool>()), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn books_balance_and_blocks_are_undone(blocks in blocks()) {
        let mut chain = Chain::new();
        let mut purse = chain.faucet().remove(0);
        for (by, banned, pays) in blocks {
            let person = Person::new(1);
            let amount = purse.1.amount.get() - 1_000;
            let tx = person.sign(unsigned(&[purse.0], &[(amount, person.p2tr())]), &[purse.1.clone()]);
            let created = chain.check(&tx).unwrap().creates.remove(0);
            let txs = if pays { vec![tx] } else { Vec::new() };
            // `apply` of the chain audits the books.
            match chain.block(by, &banned, &txs) {
                Ok(()) if pays => purse = created,
                Ok(()) => {}
                Err(error) => {
                    prop_assert!(banned.contains(&by));
                    prop_assert_eq!(error, LedgerError::BannedFarmer(farmer(by)));
                    continue;
                }
            }
            for key in banned {
                prop_assert_eq!(pending_of(&chain.state, &farmer(key)).unwrap(), Amount::ZERO);
            }
            let of_farmers = (1..5).map(|key| pending_of(&chain.state, &farmer(key)).unwrap().get());
            prop_assert_eq!(of_farmers.sum::<u64>(), chain.state.audit().pending.get());
        }
        while chain.height > 0 {
            chain.pop();
        }
    }

    #[test]
    fn no_stored_bytes_panic(bytes: Vec<u8>) {
        let _ = Coin::from_bytes(&bytes);
        let _ = PendingReward::from_bytes(&bytes);
    }

    #[test]
    fn coins_round_trip(amount: u64, height: u32, median_time: u32, coinbase: bool, taproot: bool) {
        let person = Person::new(1);
        let script = if taproot { person.p2tr() } else { person.p2wpkh() };
        let height = Height::new(height);
        let coin = Coin { amount: Amount::new(amount), script, height, median_time, coinbase };
        prop_assert_eq!(Coin::from_bytes(&coin.to_bytes()), Ok(coin));
    }
}
