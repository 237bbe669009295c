//! Two wallets on real nodes with real blocks: from the faucet to a payment, through a reorg, a lost state
//! and a lost directory.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
#[path = "../../node/tests/nodes/mod.rs"]
mod nodes;

use std::{fs, path::Path, time::Duration};

use farm::Farm;
use mass_consensus::spec::ChainSpec;
use mass_primitives::{Amount, BlockId, Height};
use mass_rpc::{BitcoinClient, HttpClient, PoolClient as _, client};
use mass_wallet::{Balance, DEV_FAUCET_PHRASE, FEE_RATE_DEFAULT, Wallet, WalletError, Words};
use nodes::{node, reaches};

const FAUCET: u64 = 10_000_000_000_000;
const SUBSIDY: u64 = 10_240_000_000;
const PAID: u64 = 12_345_678_901;

/// Farms blocks; the last one.
async fn mine(farm: &Farm, node: &HttpClient, payout: &str, blocks: u32) -> BlockId {
    let mut tip = BlockId::ZERO;
    for _ in 0..blocks {
        tip = nodes::mine(farm, node, payout).await.id();
    }
    tip
}

/// Transactions in a node's pool.
async fn pooled(node: &HttpClient) -> usize {
    node.get_raw_mempool(None, None).await.unwrap().as_array().unwrap().len()
}

/// Waits until the node has as many transactions in its pool.
async fn pools(node: &HttpClient, count: usize) {
    let wait = async {
        while pooled(node).await != count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the pool is filled");
}

fn sums(confirmed: u64, change: u64, incoming: u64) -> Balance {
    let [confirmed, change, incoming] = [confirmed, change, incoming].map(Amount::new);
    Balance { confirmed, change, incoming, ..Balance::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_made_confirmed_undone_and_confirmed_again() {
    let (farm, other) = (Farm::new(8), Farm::with_key(8, [8; 32]));
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let (one, rpc_one) = node(&farm.spec, &path("one"), vec![]).await;
    let (two, rpc_two) = node(&farm.spec, &path("two"), one.listen.clone()).await;
    let mut faucet = Wallet::restore(&path("faucet"), &farm.spec, DEV_FAUCET_PHRASE).unwrap();
    let (mut payee, phrase) = Wallet::create(&path("payee"), &farm.spec, Words::Twelve).unwrap();
    // Rewards go to an address of neither.
    let stranger = faucet.address(1_000);
    let tip = mine(&farm, &rpc_one, &stranger, 2).await;
    reaches(&rpc_two, tip).await;
    assert_eq!(faucet.sync(&rpc_one).await.unwrap().blocks, 2);
    assert_eq!(faucet.balance(), sums(FAUCET, 0, 0));

    // Both see the payment while it waits; the coin that pays it is one of ten.
    let to = payee.new_address().unwrap();
    let sent = faucet.send(&rpc_one, &to, Amount::new(PAID), FEE_RATE_DEFAULT).await.unwrap();
    let (coin, fee) = (FAUCET / 10, sent.fee.get());
    assert!((200..500).contains(&fee), "two maxwell for each of some 150 vbytes, not {fee}");
    assert_eq!(faucet.balance(), sums(FAUCET - coin, coin - PAID - fee, 0));
    payee.sync(&rpc_one).await.unwrap();
    assert_eq!(payee.balance(), sums(0, 0, PAID));
    let error = payee.send(&rpc_one, &stranger, Amount::new(PAID / 2), FEE_RATE_DEFAULT).await;
    assert!(matches!(error, Err(WalletError::Funds { available: Amount::ZERO, .. })), "not spent yet");
    pools(&rpc_two, 1).await;

    // Parted, node one confirms the payment; node two makes the heavier branch without it.
    rpc_two.set_network_active(false).await.unwrap();
    mine(&farm, &rpc_one, &stranger, 1).await;
    for wallet in [&mut faucet, &mut payee] {
        wallet.sync(&rpc_one).await.unwrap();
        assert_eq!(wallet.transaction(sent.txid).unwrap().height, Some(Height::new(3)));
    }
    assert_eq!(faucet.balance(), sums(FAUCET - PAID - fee, 0, 0));
    assert_eq!(payee.balance(), sums(PAID, 0, 0));
    two.stop().await.unwrap();
    // Else the payment would wait for its blocks, too.
    fs::remove_file(path("two").join("pool.dat")).unwrap();
    let (two, rpc_two) = node(&farm.spec, &path("two"), vec![]).await;
    let tip = mine(&other, &rpc_two, &stranger, 3).await;
    assert_eq!(pooled(&rpc_two).await, 0);
    two.stop().await.unwrap();
    let (two, _) = node(&farm.spec, &path("two"), one.listen.clone()).await;
    reaches(&rpc_one, tip).await;

    // The payment waits again, and keeps its place in both histories.
    for (wallet, expected) in
        [(&mut faucet, sums(FAUCET - coin, coin - PAID - fee, 0)), (&mut payee, sums(0, 0, PAID))]
    {
        assert_eq!(wallet.sync(&rpc_one).await.unwrap().tip, tip);
        assert_eq!(wallet.balance(), expected);
        assert_eq!(wallet.transaction(sent.txid).unwrap().height, None);
    }
    mine(&farm, &rpc_one, &stranger, 1).await;
    for wallet in [&mut faucet, &mut payee] {
        wallet.sync(&rpc_one).await.unwrap();
        assert_eq!(wallet.transaction(sent.txid).unwrap().height, Some(Height::new(6)));
    }
    let entry = faucet.transaction(sent.txid).unwrap();
    assert_eq!((entry.net, entry.fee), (-((PAID + fee) as i64), Some(sent.fee)));
    let entry = payee.transaction(sent.txid).unwrap();
    assert_eq!((entry.net, entry.fee), (PAID as i64, None));
    assert_eq!((faucet.history().len(), payee.history().len()), (2, 1));

    from_phrase_and_torn_state(&farm.spec, &rpc_one, payee, &path("payee"), phrase.reveal()).await;
    for handle in [one, two] {
        handle.stop().await.unwrap();
    }
}

/// From the phrase alone, and from a state whose end is torn, the same comes out.
async fn from_phrase_and_torn_state(
    spec: &ChainSpec,
    node: &HttpClient,
    wallet: Wallet,
    dir: &Path,
    phrase: &str,
) {
    let expected = (wallet.balance(), wallet.history());
    drop(wallet);
    let mut again = Wallet::restore(&dir.with_extension("again"), spec, phrase).unwrap();
    again.sync(node).await.unwrap();
    assert_eq!((again.balance(), again.history()), expected);
    let state = dir.join("state");
    let bytes = fs::read(&state).unwrap();
    for end in [bytes.len() - 1, bytes.len() / 2, 0] {
        fs::write(&state, &bytes[..end]).unwrap();
        let mut wallet = Wallet::open(dir, spec).unwrap();
        assert!(wallet.was_damaged());
        wallet.sync(node).await.unwrap();
        assert_eq!((wallet.balance(), wallet.history()), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rewards_are_paid_late_and_mature_later() {
    let farm = Farm::new(8);
    let home = tempfile::tempdir().unwrap();
    let (handle, rpc) = node(&farm.spec, &home.path().join("node"), vec![]).await;
    let (mut farmer, _) = Wallet::create(&home.path().join("farmer"), &farm.spec, Words::Twelve).unwrap();
    let mut faucet = Wallet::restore(&home.path().join("faucet"), &farm.spec, DEV_FAUCET_PHRASE).unwrap();
    let (payout, stranger) = (farmer.new_address().unwrap(), faucet.address(1_000));
    mine(&farm, &rpc, &payout, 2).await;
    mine(&farm, &rpc, &stranger, 2).await;
    farmer.sync(&rpc).await.unwrap();
    assert_eq!(farmer.balance(), Balance::default(), "the dev chain pays four blocks late");
    mine(&farm, &rpc, &stranger, 2).await;
    farmer.sync(&rpc).await.unwrap();
    assert_eq!(farmer.balance(), Balance { immature: Amount::new(2 * SUBSIDY), ..Balance::default() });
    assert!(farmer.history().iter().all(|entry| entry.coinbase && entry.net == SUBSIDY as i64));

    // The coinbase of block 5 can be spent by block 105, not by block 104.
    let to = faucet.address(0);
    mine(&farm, &rpc, &stranger, 97).await;
    farmer.sync(&rpc).await.unwrap();
    let tried = farmer.send(&rpc, &to, Amount::new(10_000_000), FEE_RATE_DEFAULT).await;
    assert!(matches!(tried, Err(WalletError::Funds { available: Amount::ZERO, .. })), "{tried:?}");
    mine(&farm, &rpc, &stranger, 1).await;
    farmer.sync(&rpc).await.unwrap();
    assert_eq!(farmer.height(), Height::new(104));
    let balance = farmer.balance();
    assert_eq!((balance.confirmed, balance.immature), (Amount::new(SUBSIDY), Amount::new(SUBSIDY)));
    let sent = farmer.send(&rpc, &to, Amount::new(10_000_000), FEE_RATE_DEFAULT).await.unwrap();
    mine(&farm, &rpc, &stranger, 1).await;
    faucet.sync(&rpc).await.unwrap();
    assert_eq!(faucet.transaction(sent.txid).unwrap().height, Some(Height::new(105)));
    assert_eq!(faucet.balance(), sums(FAUCET + 10_000_000, 0, 0));
    handle.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_chain_is_refused() {
    let mut file = ChainSpec::built_in("dev").unwrap().file().clone();
    file.rules.name = "other".into();
    let other = ChainSpec::new(file).unwrap();
    let home = tempfile::tempdir().unwrap();
    let (handle, rpc) = node(&other, &home.path().join("node"), vec![]).await;
    let dev = ChainSpec::built_in("dev").unwrap();
    let mut wallet = Wallet::restore(&home.path().join("wallet"), &dev, DEV_FAUCET_PHRASE).unwrap();
    let to = wallet.address(1);
    let errors = [
        wallet.sync(&rpc).await.map(|_| ()),
        wallet.send(&rpc, &to, Amount::new(10_000_000), FEE_RATE_DEFAULT).await.map(|_| ()),
    ];
    for error in errors {
        assert!(matches!(error, Err(WalletError::NodeChain { name, .. }) if name == "other"));
    }
    // The same coins on another chain are other coins.
    let twin = Wallet::restore(&home.path().join("twin"), &other, DEV_FAUCET_PHRASE).unwrap();
    assert_eq!(twin.address(0), wallet.address(0));
    assert_ne!(twin.history()[0].txid, wallet.history()[0].txid);
    handle.stop().await.unwrap();
}

/// Nodes that never met stand for every kind of reorg: within the blocks whose ids the wallet keeps, deeper
/// than these, and to a branch that is shorter or not there at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_depth_of_reorg_is_followed() {
    let (farm, other) = (Farm::new(8), Farm::with_key(8, [8; 32]));
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let (one, rpc_one) = node(&farm.spec, &path("one"), vec![]).await;
    let (two, rpc_two) = node(&farm.spec, &path("two"), vec![]).await;
    let (three, rpc_three) = node(&farm.spec, &path("three"), vec![]).await;
    let (mut wallet, _) = Wallet::create(&path("wallet"), &farm.spec, Words::Twelve).unwrap();
    let mut faucet = Wallet::restore(&path("faucet"), &farm.spec, DEV_FAUCET_PHRASE).unwrap();
    let (to, stranger) = (wallet.new_address().unwrap(), faucet.address(1_000));
    faucet.send(&rpc_one, &to, Amount::new(PAID), FEE_RATE_DEFAULT).await.unwrap();
    mine(&farm, &rpc_one, &stranger, 10).await;
    mine(&other, &rpc_two, &stranger, 8).await;
    assert_eq!(wallet.sync(&rpc_one).await.unwrap().height, Height::new(10));
    assert_eq!(wallet.balance(), sums(PAID, 0, 0));

    // A node that is behind changes nothing.
    assert_eq!(wallet.sync(&rpc_three).await.unwrap().height, Height::new(10));
    assert_eq!(wallet.balance(), sums(PAID, 0, 0));

    // The shorter branch lacks the payment, but its node takes it.
    assert_eq!(wallet.sync(&rpc_two).await.unwrap().height, Height::new(8));
    assert_eq!(wallet.balance(), sums(0, 0, PAID));
    assert_eq!(pooled(&rpc_two).await, 1);

    let tips = [mine(&farm, &rpc_one, &stranger, 190).await, mine(&other, &rpc_two, &stranger, 172).await];
    let mut seen = Vec::new();
    wallet.sync_with(&rpc_one, |progress| seen.push(progress.height.get())).await.unwrap();
    assert_eq!(seen, (1..=200).collect::<Vec<u32>>());
    assert_eq!(wallet.transaction(wallet.history()[0].txid).unwrap().height, Some(Height::new(1)));
    // Two hundred blocks lie above the fork, more than the wallet keeps the ids of.
    assert_eq!(wallet.sync(&rpc_two).await.unwrap().tip, tips[1]);
    assert_eq!(wallet.history()[0].height, Some(Height::new(9)));
    drop(wallet);
    let mut wallet = Wallet::open(&path("wallet"), &farm.spec).unwrap();
    assert_eq!(wallet.sync(&rpc_one).await.unwrap().tip, tips[0]);
    assert_eq!((wallet.balance(), wallet.history().len()), (sums(PAID, 0, 0), 1));
    assert_ne!(wallet.new_address().unwrap(), to, "addresses that were given out are remembered");
    for handle in [one, two, three] {
        handle.stop().await.unwrap();
    }
}

/// A node that lost its file has an empty pool. A wallet offers it its own payments again, each after the one that
/// it spends; and forgets what became impossible.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_that_a_node_forgot_are_offered_again_or_given_up() {
    let farm = Farm::new(8);
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let (one, rpc_one) = node(&farm.spec, &path("one"), vec![]).await;
    let (two, rpc_two) = node(&farm.spec, &path("two"), vec![]).await;
    let mut faucet = Wallet::restore(&path("faucet"), &farm.spec, DEV_FAUCET_PHRASE).unwrap();
    let (mut payee, _) = Wallet::create(&path("payee"), &farm.spec, Words::Twelve).unwrap();
    let (to, stranger) = (payee.new_address().unwrap(), faucet.address(1_000));
    faucet.send(&rpc_one, &to, Amount::new(PAID), FEE_RATE_DEFAULT).await.unwrap();
    mine(&farm, &rpc_one, &stranger, 1).await;
    payee.sync(&rpc_one).await.unwrap();
    for _ in 0..8 {
        payee.send(&rpc_one, &stranger, Amount::new(PAID / 10), FEE_RATE_DEFAULT).await.unwrap();
    }
    let balance = payee.balance();
    assert_eq!(
        (balance.confirmed, balance.incoming),
        (Amount::ZERO, Amount::ZERO),
        "all is change of change"
    );
    one.stop().await.unwrap();
    fs::remove_file(path("one").join("pool.dat")).unwrap();
    let (one, rpc_one) = node(&farm.spec, &path("one"), vec![]).await;
    assert_eq!(pooled(&rpc_one).await, 0);
    payee.sync(&rpc_one).await.unwrap();
    assert_eq!(pooled(&rpc_one).await, 8);
    assert_eq!(payee.balance(), balance);

    // On the other node's branch the faucet pays all its coins to somebody else.
    let mut twin = Wallet::restore(&path("twin"), &farm.spec, DEV_FAUCET_PHRASE).unwrap();
    let nearly_all = Amount::new(FAUCET - PAID);
    twin.send(&rpc_two, &payee.address(9), nearly_all, FEE_RATE_DEFAULT).await.unwrap();
    mine(&farm, &rpc_two, &stranger, 2).await;
    payee.sync(&rpc_two).await.unwrap();
    assert_eq!(payee.balance(), Balance { confirmed: nearly_all, ..Balance::default() });
    assert_eq!(payee.history().len(), 1);
    // And back: the old branch is longer again, and its payments are there again.
    mine(&farm, &rpc_one, &stranger, 3).await;
    payee.sync(&rpc_one).await.unwrap();
    assert_eq!((payee.balance().total(), payee.history().len()), (balance.total(), 9));
    for handle in [one, two] {
        handle.stop().await.unwrap();
    }
}

/// A wallet can be used from any thread.
#[test]
fn a_sync_can_be_spawned() {
    fn check<T: Send>(_: T) {}
    let spec = ChainSpec::built_in("dev").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut wallet, _) = Wallet::create(dir.path(), &spec, Words::Twelve).unwrap();
    let node = client("http://127.0.0.1:1").unwrap();
    check(wallet.sync(&node));
    check(wallet.send(&node, "", Amount::ZERO, FEE_RATE_DEFAULT));
}
