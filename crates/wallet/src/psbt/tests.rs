//! Payments from hand to hand: several owners, taproot scripts, watchers, and what must not be signed. The coins are
//! those of a genesis block that the faucet's wallet spends without a node.

use std::path::Path;

use bitcoin::{EcdsaSighashType, psbt::PsbtSighashType};
use mass_consensus::spec::ChainSpec;
use zeroize::Zeroizing;

use super::*;
use crate::{Account, DEV_FAUCET_PHRASE, FEE_RATE_DEFAULT, Origin, Payment, Seed, Value, Words};

const HALF: Amount = Amount::new(500_000_000_000);

fn dev() -> ChainSpec {
    ChainSpec::built_in("dev").unwrap()
}

fn faucet(dir: &Path) -> Wallet {
    Wallet::restore(dir, &dev(), DEV_FAUCET_PHRASE).unwrap()
}

fn of_descriptor(dir: &Path, text: &str, seed: Option<Seed>) -> Wallet {
    let (text, change) = (Zeroizing::new(text.to_owned()), None);
    Wallet::make(dir, &dev(), Origin::Descriptors { text, change, seed }, None).unwrap()
}

fn again(seed: &Seed) -> Seed {
    Seed::parse(seed.phrase().reveal(), "").unwrap()
}

/// Pays `amount` from the faucet to a wallet, which sees it wait.
fn fund(faucet: &mut Wallet, to: &mut [&mut Wallet], amount: Amount) {
    let address = to[0].address(0);
    let mut psbt = faucet.draft(&Payment::new(&address, Value::Exact(amount), FEE_RATE_DEFAULT)).unwrap();
    assert_eq!(faucet.sign_psbt(&mut psbt).unwrap(), psbt.inputs.len());
    let (tx, _) = extract(psbt).unwrap();
    for wallet in std::iter::once(faucet).chain(to.iter_mut().map(|wallet| &mut **wallet)) {
        wallet.bdk.apply_unconfirmed_txs([(tx.clone(), 1)]);
    }
}

fn spend_all(wallet: &mut Wallet, to: &str) -> Psbt {
    let mut payment = Payment::new(to, Value::Max, FEE_RATE_DEFAULT);
    payment.coins = wallet.coins().iter().map(|coin| coin.outpoint).collect();
    wallet.draft(&payment).unwrap()
}

#[test]
fn two_of_three_sign_in_any_order() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let mut bank = faucet(&path("faucet"));
    let to = bank.address(5);
    let seeds = [0, 1, 2].map(|_| Seed::generate(Words::Fifteen, "").unwrap());
    let keys = seeds.iter().map(|seed| seed.public_key("48'/297'/0'/2'").unwrap() + "/<0;1>/*");
    let text = format!("wsh(sortedmulti(2,{}))", keys.collect::<Vec<_>>().join(","));
    let mut signers: Vec<Wallet> = (0..3)
        .map(|at| of_descriptor(&path(&format!("signer{at}")), &text, Some(again(&seeds[at]))))
        .collect();
    let mut watcher = of_descriptor(&path("watcher"), &text, None);
    assert!(watcher.is_watch_only() && !signers[0].is_watch_only());
    let mut all: Vec<&mut Wallet> = signers.iter_mut().chain([&mut watcher]).collect();
    fund(&mut bank, &mut all, HALF);

    let mut psbt = spend_all(&mut watcher, &to);
    assert!(matches!(watcher.sign_psbt(&mut psbt.clone()), Err(WalletError::WatchOnly)));
    let view = watcher.view_psbt(&psbt);
    assert!(!view.complete && view.inputs[0].signatures == 0 && view.inputs[0].amount == Some(HALF));
    assert_eq!(view.fee.unwrap().get() + view.outputs[0].amount.get(), HALF.get());
    let signed: Vec<Psbt> = [2, 0]
        .into_iter()
        .map(|at| {
            let mut own = psbt.clone();
            assert_eq!(signers[at].sign_psbt(&mut own).unwrap(), 1);
            assert_eq!(signers[at].sign_psbt(&mut own).unwrap(), 0, "nothing is signed twice");
            assert!(matches!(finalize(&mut own.clone()), Err(WalletError::Psbt(_))), "one is not enough");
            own
        })
        .collect();
    // As texts, as they travel.
    let texts = signed.iter().map(|psbt| parse_psbt(psbt.to_string().as_bytes()).unwrap());
    psbt = combine(texts.collect()).unwrap();
    assert!(watcher.view_psbt(&psbt).complete);
    let (tx, fee) = extract(psbt).unwrap();
    assert!(tx.weight().to_vbytes_ceil() * 2 <= fee.get() + 4, "the fee fits the size");
}

/// Taproot: by its key alone, and by a leaf of which another owner has the key.
#[test]
fn taproot_is_spent_by_key_and_by_leaf() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let mut bank = faucet(&path("faucet"));
    let to = bank.address(5);
    let [one, two] = [0, 1].map(|_| Seed::generate(Words::Twelve, "").unwrap());
    let mut single =
        Wallet::make(&path("bip86"), &dev(), Origin::Account(again(&one), Account::Bip86), None).unwrap();
    fund(&mut bank, &mut [&mut single], HALF);
    let mut psbt = spend_all(&mut single, &to);
    assert_eq!(single.sign_psbt(&mut psbt).unwrap(), 1);
    assert_eq!(extract(psbt).unwrap().0.input[0].witness.len(), 1, "by its key");

    let [a, b] = [&one, &two].map(|seed| seed.public_key("48'/297'/0'/3'").unwrap());
    let text = format!("tr({a}/<0;1>/*,pk({b}/<0;1>/*))");
    for (name, seed, items) in [("key", &one, 1), ("leaf", &two, 3)] {
        let mut wallet = of_descriptor(&path(name), &text, Some(again(seed)));
        fund(&mut bank, &mut [&mut wallet], HALF);
        let mut psbt = spend_all(&mut wallet, &to);
        assert_eq!(wallet.sign_psbt(&mut psbt).unwrap(), 1, "{name}");
        assert_eq!(extract(psbt).unwrap().0.input[0].witness.len(), items, "{name}");
    }
}

/// Secret keys in the descriptor itself sign, and come back when the wallet is opened again.
#[test]
fn descriptors_bring_their_own_keys() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let mut bank = faucet(&path("faucet"));
    let to = bank.address(5);
    let seed = Seed::generate(Words::Twelve, "").unwrap();
    let secret = format!("wpkh({}/84h/297h/0h/<0;1>/*)", seed.master().0);
    let dir = path("own");
    let made = of_descriptor(&dir, &secret, None);
    let (external, internal) = made.descriptors();
    assert!(!external.contains("prv") && internal.is_some());
    drop(made);
    let mut wallet = Wallet::open(&dir, &dev()).unwrap();
    assert_eq!(wallet.descriptors().0, external);
    fund(&mut bank, &mut [&mut wallet], HALF);
    let mut psbt = spend_all(&mut wallet, &to);
    assert_eq!(wallet.sign_psbt(&mut psbt).unwrap(), 1);
    assert!(extract(psbt).is_ok());
}

#[test]
fn what_lies_or_covers_too_little_is_not_signed() {
    let home = tempfile::tempdir().unwrap();
    let mut wallet = faucet(&home.path().join("faucet"));
    let to = wallet.address(9);
    let good = wallet.draft(&Payment::new(&to, Value::Exact(HALF), FEE_RATE_DEFAULT)).unwrap();
    let refused = |change: &dyn Fn(&mut Psbt)| {
        let mut psbt = good.clone();
        change(&mut psbt);
        let error = wallet.sign_psbt(&mut psbt).unwrap_err();
        assert!(matches!(error, WalletError::Psbt(_)), "{error}");
        assert!(psbt.inputs.iter().all(|input| signatures(input) == 0));
    };
    refused(&|psbt| psbt.inputs[0].sighash_type = Some(PsbtSighashType::from(EcdsaSighashType::None)));
    refused(&|psbt| psbt.inputs[0].non_witness_utxo = None);
    refused(&|psbt| {
        // Half the amount told: the rest would go to the fee.
        let tx = psbt.inputs[0].non_witness_utxo.as_mut().unwrap();
        tx.output.iter_mut().for_each(|output| output.value /= 2);
    });
    refused(&|psbt| psbt.inputs[0].witness_utxo.as_mut().unwrap().value /= 2);
    refused(&|psbt| {
        psbt.inputs.clear();
    });
    let other = wallet.draft(&Payment::new(&to, Value::Max, FEE_RATE_DEFAULT)).unwrap();
    assert!(matches!(combine(vec![good.clone(), other]), Err(WalletError::Psbt(_))));
    assert!(matches!(combine(vec![]), Err(WalletError::Psbt(_))));
    for bytes in [&b""[..], b"psbt", b"psbt\xff", b"cHNidP8=", b"70736274ff", b"\xff\xfe", b"!"] {
        assert!(matches!(parse_psbt(bytes), Err(WalletError::PsbtForm(_))));
    }
    assert_eq!(parse_psbt(&good.serialize()).unwrap(), good);
    assert_eq!(parse_psbt(hex::encode(good.serialize()).as_bytes()).unwrap(), good);
}

/// A frozen coin is spent by nothing; coins that are named are spent and no others; all of them can go at once.
#[test]
fn coins_are_chosen_and_frozen() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("faucet");
    let mut wallet = faucet(&dir);
    let to = wallet.address(9);
    let coins = wallet.coins();
    let (all, one) = (wallet.balance().spendable(), coins[0].outpoint);
    wallet.freeze(one, true).unwrap();
    drop(wallet);
    let mut wallet = Wallet::open(&dir, &dev()).unwrap();
    let balance = wallet.balance();
    assert_eq!((balance.frozen, balance.total()), (coins[0].amount, all));
    assert_eq!(balance.spendable().get(), all.get() - coins[0].amount.get());
    let rate = FEE_RATE_DEFAULT;
    let psbt = wallet.draft(&Payment::new(&to, Value::Max, rate)).unwrap();
    assert_eq!(psbt.inputs.len(), coins.len() - 1);
    let mut chosen = Payment::new(&to, Value::Max, rate);
    chosen.coins = vec![one];
    assert!(matches!(wallet.draft(&chosen), Err(WalletError::Frozen(coin)) if coin == one));
    assert!(wallet.export_labels().contains("\"spendable\":false"));
    let labels = wallet.export_labels().replace("false", "true");
    assert_eq!(wallet.import_labels(&labels).unwrap(), 1);
    let psbt = wallet.draft(&chosen).unwrap();
    assert_eq!((psbt.inputs.len(), psbt.outputs.len()), (1, 1));
    let strange = bitcoin::OutPoint { vout: 99, ..one };
    assert!(matches!(wallet.freeze(strange, true), Err(WalletError::NoCoin(_))));
    let mut several = Payment::new(&to, Value::Exact(HALF), rate);
    several.recipients.push((wallet.address(10), Value::Exact(HALF)));
    several.recipients.push((wallet.address(11), Value::Max));
    assert_eq!(wallet.draft(&several).unwrap().outputs.len(), 3);
    several.recipients.push((wallet.address(12), Value::Max));
    assert!(matches!(wallet.draft(&several), Err(WalletError::Payment(_))));
    several.recipients = vec![(to.clone(), Value::Exact(Amount::new(u64::MAX))); 3];
    assert!(matches!(wallet.draft(&several), Err(WalletError::Funds { .. })));
    several.recipients = vec![(to, Value::Max); RECIPIENTS + 1];
    assert!(matches!(wallet.draft(&several), Err(WalletError::Payment(_))));
}

const RECIPIENTS: usize = crate::RECIPIENTS_MAX;
