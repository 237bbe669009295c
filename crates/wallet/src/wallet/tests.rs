//! Wallets without a node: directories, locks, damage, and the faucet.

use std::{fs, os::unix::fs::PermissionsExt as _};

use mass_primitives::{Amount, Height};

use super::*;
use crate::{FEE_RATE_DEFAULT, FeeRate, Payment, Value, keys::DEV_FAUCET_PHRASE};

const FAUCET_ADDRESS: &str = "dms1qmw78m49ss7u4df4f3u7s6w6q8n02h6mkfn3z97";
const FAUCET: Amount = Amount::new(10_000_000_000_000);

fn dev() -> ChainSpec {
    ChainSpec::built_in("dev").unwrap()
}

/// A chain with the rules of `dev` but for its ledger, which `change` changes.
fn like_dev(change: impl Fn(&mut mass_consensus::spec::LedgerRules)) -> ChainSpec {
    let mut file = dev().file().clone();
    change(&mut file.rules.ledger);
    ChainSpec::new(file).unwrap()
}

fn faucet(dir: &Path) -> Wallet {
    Wallet::restore(dir, &dev(), DEV_FAUCET_PHRASE).unwrap()
}

fn refused<T>(result: Result<T, WalletError>) -> WalletError {
    result.map(|_| ()).unwrap_err()
}

#[test]
fn the_faucet_has_the_coins_of_the_genesis_block() {
    let dir = tempfile::tempdir().unwrap();
    let mut wallet = faucet(dir.path());
    assert_eq!(wallet.address(0), FAUCET_ADDRESS);
    assert_eq!(wallet.balance(), crate::Balance { confirmed: FAUCET, ..Default::default() });
    let [entry] = wallet.history()[..] else { panic!("one transaction pays all") };
    assert_eq!((entry.net, entry.height, entry.fee), (10_000_000_000_000, Some(Height::ZERO), None));
    assert!(!entry.coinbase, "the faucet does not have to wait");
    // Addresses are given out once, and that is kept.
    let given = [wallet.new_address().unwrap(), wallet.new_address().unwrap()];
    drop(wallet);
    let mut wallet = Wallet::open(dir.path(), &dev()).unwrap();
    assert!(!wallet.was_damaged());
    assert!(!given.contains(&wallet.new_address().unwrap()));
    assert_eq!(wallet.balance().spendable(), FAUCET);
}

#[test]
fn a_wallet_is_private_made_once_and_open_once() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("a/wallet");
    assert!(matches!(refused(Wallet::open(&dir, &dev())), WalletError::Missing(at) if at == dir));
    let (wallet, phrase) = Wallet::create(&dir, &dev(), Words::TwentyFour).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(matches!(refused(Wallet::open(&dir, &dev())), WalletError::InUse(at) if at == dir));
    let address = wallet.address(0);
    drop(wallet);
    assert!(matches!(refused(Wallet::create(&dir, &dev(), Words::Twelve)), WalletError::Exists(_)));
    assert!(matches!(refused(Wallet::restore(&dir, &dev(), DEV_FAUCET_PHRASE)), WalletError::Exists(_)));
    assert_eq!(Wallet::open(&dir, &dev()).unwrap().address(0), address);
    let again = Wallet::restore(&home.path().join("again"), &dev(), phrase.reveal()).unwrap();
    assert_eq!(again.address(0), address);
}

#[test]
fn other_chains_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(faucet(dir.path()));
    let testnet = ChainSpec::built_in("testnet").unwrap();
    let error = refused(Wallet::open(dir.path(), &testnet));
    assert!(matches!(&error, WalletError::OtherChain { found, .. } if found == dev().id()), "{error}");
    let spec = like_dev(|ledger| ledger.kind = "evm".into());
    assert!(matches!(refused(Wallet::open(dir.path(), &spec)), WalletError::LedgerKind(_)));
    let spec = like_dev(|ledger| ledger.params["maturity"] = 7.into());
    assert!(matches!(refused(Wallet::open(dir.path(), &spec)), WalletError::Maturity { got: 7, .. }));
}

/// Cut anywhere, or with bytes changed anywhere, a journal gives what the wallet knew at an earlier time.
#[test]
fn a_damaged_state_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let mut wallet = faucet(dir.path());
    let addresses: Vec<String> = (0..4).map(|_| wallet.new_address().unwrap()).collect();
    drop(wallet);
    let path = dir.path().join("state");
    let good = fs::read(&path).unwrap();
    let check = |bytes: &[u8], must_show: bool| {
        fs::write(&path, bytes).unwrap();
        let mut wallet = Wallet::open(dir.path(), &dev()).unwrap();
        assert!(wallet.was_damaged() || !must_show);
        assert_eq!(wallet.balance().confirmed, FAUCET);
        let next = wallet.new_address().unwrap();
        let expected = [&addresses[..], &[wallet.address(5)]].concat();
        assert!(expected.contains(&next));
        drop(wallet);
        let wallet = Wallet::open(dir.path(), &dev()).unwrap();
        assert!(!wallet.was_damaged(), "mended at the first time");
        assert_eq!(wallet.balance().confirmed, FAUCET);
    };
    for end in (0..good.len()).step_by(good.len() / 40) {
        check(&good[..end], false);
        let mut changed = good.clone();
        changed[end] ^= 1;
        check(&changed, true);
    }
    check(&[&good[..], &[0; 4_096]].concat(), true);
    check(&[&good[..], b"half an entry"].concat(), true);
    check(b"garbage", true);
    fs::remove_file(&path).unwrap();
    assert_eq!(Wallet::open(dir.path(), &dev()).unwrap().balance().confirmed, FAUCET);
}

#[test]
fn the_state_of_another_wallet_is_not_believed() {
    let home = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| home.path().join(name));
    drop((faucet(&one), Wallet::create(&two, &dev(), Words::Twelve).unwrap()));
    fs::copy(one.join("state"), two.join("state")).unwrap();
    let wallet = Wallet::open(&two, &dev()).unwrap();
    assert!(wallet.was_damaged());
    assert_eq!(wallet.balance().total(), Amount::ZERO);
}

/// Many changes are folded into one, and nothing is lost by it.
#[test]
fn a_long_state_is_folded() {
    let dir = tempfile::tempdir().unwrap();
    let mut wallet = faucet(dir.path());
    let addresses: Vec<String> = (0..300).map(|_| wallet.new_address().unwrap()).collect();
    for _ in 0..2 {
        drop(wallet);
        wallet = Wallet::open(dir.path(), &dev()).unwrap();
        assert!(!addresses.contains(&wallet.new_address().unwrap()));
    }
    assert_eq!(wallet.balance().confirmed, FAUCET);
}

/// What can be said of a payment without a node is said without one.
#[tokio::test]
async fn bad_payments_are_refused_before_anybody_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut wallet = faucet(dir.path());
    let node = mass_rpc::client("http://127.0.0.1:1").unwrap();
    let (to, one, rate) = (wallet.address(7), Amount::new(10_000_000), FEE_RATE_DEFAULT);
    let error = refused(wallet.send(&node, "ms1nonsense", one, rate).await);
    assert!(matches!(error, WalletError::Address(_)), "{error}");
    let foreign = to.replacen("dms", "tms", 1);
    assert!(matches!(refused(wallet.send(&node, &foreign, one, rate).await), WalletError::Address(_)));
    let error = refused(wallet.send(&node, &to, Amount::new(293), rate).await);
    assert_eq!(
        error.to_string(),
        "0.0000293 MASS are too little for a coin of their own: send at least 0.0000294"
    );
    for amount in [FAUCET.get() + 1, u64::MAX] {
        let error = refused(wallet.send(&node, &to, Amount::new(amount), rate).await);
        assert!(matches!(error, WalletError::Funds { available: FAUCET, .. }), "{error}");
    }
    for rate in [FeeRate::ZERO, FeeRate::from_sat_per_vb_u32(10_001), FeeRate::MAX] {
        let error = refused(wallet.send(&node, &to, one, rate).await);
        assert!(matches!(error, WalletError::FeeRate { .. }), "{error}");
    }
    assert!(matches!(refused(wallet.send(&node, &to, one, rate).await), WalletError::NoNode(_)));
    assert!(matches!(refused(wallet.sync(&node).await), WalletError::NoNode(_)));
    assert_eq!(wallet.balance().confirmed, FAUCET, "a payment that was not sent spends nothing");
    // All but nothing for the fee: coin selection says what it takes.
    let dry = wallet.draft(&Payment::new(&to, Value::Exact(FAUCET), rate));
    assert!(matches!(refused(dry), WalletError::Funds { needed, .. } if needed > FAUCET));
}

/// With a passphrase no file tells what the wallet has; it opens, locks, takes another passphrase and gives it up,
/// and keeps addresses and labels all the way.
#[test]
fn a_wallet_is_encrypted_locked_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|text| Passphrase::new(text).unwrap());
    let seed = Seed::parse(DEV_FAUCET_PHRASE, "").unwrap();
    let mut wallet =
        Wallet::make(dir.path(), &dev(), Origin::Account(seed, Account::Bip84), Some(&one)).unwrap();
    let address = wallet.new_address().unwrap();
    wallet.set_label("addr", &address, "rent").unwrap();
    drop(wallet);
    for name in ["seed", "state", "labels"] {
        let path = dir.path().join(name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for secret in ["abandon", "wpkh", "rent", &address, "tpub"] {
            assert!(!text.contains(secret), "{name} tells {secret}");
        }
    }
    assert!(Wallet::needs_passphrase(dir.path()).unwrap());
    assert!(matches!(refused(Wallet::open(dir.path(), &dev())), WalletError::PassphraseMissing(_)));
    let open = |passphrase| Wallet::open_with(dir.path(), &dev(), passphrase);
    assert!(matches!(refused(open(Some(&two))), WalletError::PassphraseWrong));
    let mut wallet = open(Some(&one)).unwrap();
    assert!(!wallet.was_damaged() && wallet.lock() && wallet.is_locked());
    let payment = Payment::new(&address, Value::Max, FEE_RATE_DEFAULT);
    let mut psbt = wallet.draft(&payment).unwrap();
    assert!(matches!(wallet.sign_psbt(&mut psbt), Err(WalletError::Locked)));
    assert!(matches!(wallet.unlock(&two), Err(WalletError::PassphraseWrong)));
    assert!(matches!(wallet.change_passphrase(None), Err(WalletError::Locked)));
    wallet.unlock(&one).unwrap();
    assert!(wallet.sign_psbt(&mut psbt).unwrap() > 0);
    for (change, opens) in [(Some(&two), Some(&two)), (None, None), (Some(&one), Some(&one))] {
        wallet.change_passphrase(change).unwrap();
        drop(wallet);
        wallet = open(opens).unwrap();
        assert!(!wallet.was_damaged());
        assert_eq!((wallet.label("addr", &address), wallet.balance().spendable()), (Some("rent"), FAUCET));
        assert_ne!(wallet.new_address().unwrap(), address);
    }
    assert!(wallet.is_encrypted());
}

/// The files of the first version, as an earlier program wrote them, open and stay what they are.
#[test]
fn wallets_of_the_first_version_open() {
    let dir = tempfile::tempdir().unwrap();
    let seed = format!("mass-wallet 1 {}\n{DEV_FAUCET_PHRASE}\n", dev().id());
    fs::write(dir.path().join("seed"), &seed).unwrap();
    let wallet = Wallet::open(dir.path(), &dev()).unwrap();
    assert_eq!((wallet.address(0).as_str(), wallet.balance().confirmed), (FAUCET_ADDRESS, FAUCET));
    assert_eq!(fs::read_to_string(dir.path().join("seed")).unwrap(), seed);
}
