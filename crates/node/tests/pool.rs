//! The pool of a real node: its RPC in the shapes, words and codes that programs for Bitcoin Core expect, its life
//! across restarts and reorgs, and what passes between peers.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod nodes;
mod payer;

use std::time::Duration;

use bitcoin::{
    EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    consensus::encode::serialize_hex,
    hashes::Hash as _,
    secp256k1::{Message, Secp256k1},
    sighash::SighashCache,
    transaction::Version,
};
use corepc_types::v30;
use farm::Farm;
use mass_primitives::Height;
use mass_rpc::{BitcoinClient as _, ClientError, HttpClient, PoolClient as _, errors};
use payer::Payer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

type Coin = (OutPoint, u64);

/// Pays coins of the payer to himself in other portions; what is missing is the fee.
fn spend(payer: &Payer, coins: &[Coin], outputs: &[u64]) -> Transaction {
    let script = Payer::script(&payer.key);
    let input = |(previous_output, _): &Coin| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    let output =
        |value: &u64| TxOut { value: bitcoin::Amount::from_sat(*value), script_pubkey: script.clone() };
    let mut tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: coins.iter().map(input).collect(),
        output: outputs.iter().map(output).collect(),
    };
    let secp = Secp256k1::new();
    for (position, (_, value)) in coins.iter().enumerate() {
        let value = bitcoin::Amount::from_sat(*value);
        let mut cache = SighashCache::new(&tx);
        let hash = cache.p2wpkh_signature_hash(position, &script, value, EcdsaSighashType::All).unwrap();
        let message = Message::from_digest(hash.to_byte_array());
        let signature = bitcoin::ecdsa::Signature::sighash_all(secp.sign_ecdsa(&message, &payer.key));
        tx.input[position].witness = Witness::p2wpkh(&signature, &payer.key.public_key(&secp));
    }
    tx
}

fn coins(tx: &Transaction) -> Vec<Coin> {
    let txid = tx.compute_txid();
    let coin = |(vout, output): (u32, &TxOut)| (OutPoint { txid, vout }, output.value.to_sat());
    (0..).zip(&tx.output).map(coin).collect()
}

/// The coin of the genesis block.
async fn first_coin(node: &HttpClient) -> Coin {
    let genesis = node.get_block_hash(Height::ZERO).await.unwrap();
    let block = node.get_block(genesis, None).await.unwrap();
    let txid = &block["tx"][1];
    let txid = txid.as_str().or(txid["txid"].as_str()).unwrap().parse().unwrap();
    (OutPoint { txid, vout: 0 }, 1_000_000)
}

async fn send(node: &HttpClient, tx: &Transaction) -> Result<String, ClientError> {
    node.send_raw_transaction(serialize_hex(tx), None, None).await
}

fn told<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> (i32, String) {
    match answer.unwrap_err() {
        ClientError::Call(error) => (error.code(), error.message().to_owned()),
        other => panic!("{other}"),
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, ClientError>, code: i32, reason: &str) {
    let (got, message) = told(answer);
    assert_eq!(got, code, "{message}");
    assert!(message.starts_with(reason), "{message}");
}

/// The reply as the library of foreign programs reads it, and again as it was.
#[allow(clippy::needless_pass_by_value, reason = "replies are read where they come")]
fn parsed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reply_has_the_shape_that_programs_know() {
    let (payer, dir) = (Payer::new(&Farm::easy(0, [7; 32]).spec), tempfile::tempdir().unwrap());
    let (node, rpc) = nodes::node(&payer.spec, dir.path(), vec![]).await;
    let first = spend(&payer, &[first_coin(&rpc).await], &[300_000, 300_000, 300_000]);
    let second = spend(&payer, &coins(&first)[..1], &[290_000]);
    let [first_id, second_id] = [&first, &second].map(|tx| tx.compute_txid().to_string());

    let tested =
        rpc.test_mempool_accept(vec![serialize_hex(&first), serialize_hex(&second)], None).await.unwrap();
    let tested: v30::TestMempoolAccept = parsed(tested);
    assert!(tested.0.iter().all(|one| one.allowed));
    assert_eq!(tested.0[1].fees.as_ref().unwrap().base, 0.001);
    assert_eq!(rpc.get_raw_mempool(None, None).await.unwrap(), json!([]), "a test changes nothing");
    assert_eq!(send(&rpc, &first).await.unwrap(), first_id);
    assert_eq!(send(&rpc, &second).await.unwrap(), second_id);
    assert_eq!(send(&rpc, &second).await.unwrap(), second_id, "it is announced again");
    let again = rpc.test_mempool_accept(vec![serialize_hex(&first)], None).await.unwrap();
    let again: v30::TestMempoolAccept = parsed(again);
    assert_eq!(again.0[0].reject_reason.as_deref(), Some("txn-already-in-mempool"));

    let info: v30::GetMempoolInfo = parsed(rpc.get_mempool_info().await.unwrap());
    assert_eq!((info.size, info.loaded, info.full_rbf, info.unbroadcast_count), (2, true, true, 2));
    assert_eq!(info.bytes, (first.vsize() + second.vsize()) as i64);
    assert_eq!((info.total_fee, info.min_relay_tx_fee, info.mempool_min_fee), (0.011, 0.0001, 0.0001));
    assert_eq!(info.max_mempool, 300_000_000);
    info.into_model().unwrap();

    let ids: v30::GetRawMempool = parsed(rpc.get_raw_mempool(None, None).await.unwrap());
    assert_eq!(ids.0.len(), 2);
    let all: v30::GetRawMempoolVerbose = parsed(rpc.get_raw_mempool(Some(true), None).await.unwrap());
    assert_eq!(all.0.len(), 2);
    let sequence: v30::GetRawMempoolSequence = parsed(rpc.get_raw_mempool(None, Some(true)).await.unwrap());
    assert_eq!(sequence.mempool_sequence, 3);

    let entry: v30::GetMempoolEntry = parsed(rpc.get_mempool_entry(second_id.clone()).await.unwrap());
    assert_eq!((entry.0.ancestor_count, entry.0.descendant_count, entry.0.depends.len()), (2, 1, 1));
    assert_eq!((entry.0.fees.ancestor, entry.0.wtxid.clone()), (0.011, second.compute_wtxid().to_string()));
    entry.into_model().unwrap();
    let above: v30::GetMempoolAncestors =
        parsed(rpc.get_mempool_ancestors(second_id.clone(), None).await.unwrap());
    assert_eq!(above.0, std::slice::from_ref(&first_id));
    let _: v30::GetMempoolAncestorsVerbose =
        parsed(rpc.get_mempool_ancestors(second_id.clone(), Some(true)).await.unwrap());
    let below: v30::GetMempoolDescendants =
        parsed(rpc.get_mempool_descendants(first_id.clone(), None).await.unwrap());
    assert_eq!(below.0, std::slice::from_ref(&second_id));
    let _: v30::GetMempoolDescendantsVerbose =
        parsed(rpc.get_mempool_descendants(first_id.clone(), Some(true)).await.unwrap());

    assert!(rpc.prioritise_transaction(first_id.clone(), Some(json!(0)), 5_000).await.unwrap());
    let changed: v30::GetPrioritisedTransactions = parsed(rpc.get_prioritised_transactions().await.unwrap());
    assert_eq!(changed.0[&first_id].modified_fee, Some(105_000));
    let saved: v30::SaveMempool = parsed(rpc.save_mempool().await.unwrap());
    assert_eq!(std::path::Path::new(&saved.filename), dir.path().join("pool.dat"));
    let estimate: v30::EstimateSmartFee = parsed(rpc.estimate_smart_fee(6, None).await.unwrap());
    assert_eq!(estimate.errors.unwrap(), ["Insufficient data or no feerate found"]);

    // A parent below the minimum, and the child that pays for it.
    let poor = spend(&payer, &coins(&first)[1..2], &[300_000]);
    let child = spend(&payer, &coins(&poor), &[290_000]);
    refused(send(&rpc, &poor).await, errors::REJECTED, "min relay fee not met");
    let package = vec![serialize_hex(&poor), serialize_hex(&child)];
    let submitted: v30::SubmitPackage = parsed(rpc.submit_package(package, None, None).await.unwrap());
    assert_eq!(submitted.package_msg, "success");
    let result = &submitted.tx_results[&poor.compute_wtxid().to_string()];
    assert_eq!(result.fees.as_ref().unwrap().effective_includes.as_ref().unwrap().len(), 2);
    submitted.into_model().unwrap();
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_the_codes_and_words_that_programs_know() {
    let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
    let (farm, dir) = (payer.farm(7), tempfile::tempdir().unwrap());
    let (node, rpc) = nodes::node(&payer.spec, dir.path(), vec![]).await;
    let coin = first_coin(&rpc).await;
    let send_hex = |hex: &str| rpc.send_raw_transaction(hex.to_owned(), None, None);
    refused(send_hex("zz").await, errors::DECODE, "not a hexadecimal");
    refused(send_hex("00").await, errors::DECODE, "TX decode failed");
    let unknown = (OutPoint { vout: 9, ..coin.0 }, coin.1);
    let missing = "bad-txns-inputs-missingorspent";
    refused(send(&rpc, &spend(&payer, &[unknown], &[900_000])).await, errors::VERIFY, missing);
    refused(send(&rpc, &spend(&payer, &[coin], &[999_000, 293])).await, errors::REJECTED, "dust");
    refused(send(&rpc, &spend(&payer, &[coin], &[999_950])).await, errors::REJECTED, "min relay fee not met");
    refused(
        send(&rpc, &spend(&payer, &[coin], &[1_100_000])).await,
        errors::REJECTED,
        "bad-txns-in-belowout",
    );
    let mut forged = spend(&payer, &[coin], &[990_000]);
    forged.output[0].value = bitcoin::Amount::from_sat(990_001);
    refused(send(&rpc, &forged).await, errors::REJECTED, "mempool-script-verify-flag-failed");
    let dear = spend(&payer, &[coin], &[100_000]);
    refused(send(&rpc, &dear).await, errors::VERIFY, "Fee exceeds maximum");
    let maximum = |text: &str| Some(json!(text));
    let absurd = rpc.send_raw_transaction(serialize_hex(&dear), maximum("1.5"), None).await;
    refused(absurd, errors::INVALID_PARAMETER, "Fee rates larger");
    refused(
        rpc.send_raw_transaction(serialize_hex(&dear), maximum("x"), None).await,
        errors::TYPE,
        "Invalid amount",
    );

    // The greatest chain there may be, and a replacement of all of it.
    let mut chain = vec![spend(&payer, &[coin], &[990_000])];
    for number in 1..25u64 {
        chain.push(spend(&payer, &coins(&chain[chain.len() - 1]), &[990_000 - number * 1_000]));
    }
    for tx in &chain {
        send(&rpc, tx).await.unwrap();
    }
    let longer = spend(&payer, &coins(&chain[24]), &[960_000]);
    refused(send(&rpc, &longer).await, errors::REJECTED, "too-long-mempool-chain");
    let rival = spend(&payer, &[coin], &[989_500]);
    refused(send(&rpc, &rival).await, errors::REJECTED, "insufficient fee");
    let rival = spend(&payer, &[coin], &[960_000]);
    let raised = rpc.send_raw_transaction(serialize_hex(&rival), Some(json!(0)), None).await;
    assert_eq!(raised.unwrap(), rival.compute_txid().to_string());
    assert_eq!(rpc.get_raw_mempool(None, None).await.unwrap(), json!([rival.compute_txid()]));
    refused(
        rpc.get_mempool_entry(chain[3].compute_txid().to_string()).await,
        errors::NOT_FOUND,
        "Transaction not in",
    );
    refused(rpc.get_mempool_entry("ab".to_owned()).await, errors::INVALID_PARAMETER, "");
    refused(rpc.get_raw_mempool(Some(true), Some(true)).await, errors::INVALID_PARAMETER, "Verbose results");
    refused(rpc.test_mempool_accept(vec![], None).await, errors::INVALID_PARAMETER, "Array must contain");
    refused(rpc.estimate_smart_fee(1009, None).await, errors::INVALID_PARAMETER, "Invalid conf_target");
    let mode = Some("fast".to_owned());
    refused(rpc.estimate_smart_fee(6, mode).await, errors::INVALID_PARAMETER, "Invalid estimate_mode");

    nodes::mine(&farm, &rpc, &payer::payout(1)).await;
    assert_eq!(rpc.get_raw_mempool(None, None).await.unwrap(), json!([]));
    refused(send(&rpc, &rival).await, errors::IN_CHAIN, "Transaction outputs already in utxo set");
    let known = rpc.test_mempool_accept(vec![serialize_hex(&rival)], None).await.unwrap();
    assert_eq!(known[0]["reject-reason"], "txn-already-known");
    let spent = rpc.test_mempool_accept(vec![serialize_hex(&chain[0])], None).await.unwrap();
    assert_eq!(spent[0]["reject-reason"], "missing-inputs");
    node.stop().await.unwrap();
}

/// Several at once: limits among them, what is no package, and two that replace a third together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_are_tested_and_taken_as_bitcoin_core_does() {
    let (payer, dir) = (Payer::new(&Farm::easy(0, [7; 32]).spec), tempfile::tempdir().unwrap());
    let (node, rpc) = nodes::node(&payer.spec, dir.path(), vec![]).await;
    let hex = |list: &[&Transaction]| list.iter().map(|tx| serialize_hex(*tx)).collect::<Vec<_>>();
    let test = async |list: &[&Transaction]| rpc.test_mempool_accept(hex(list), None).await.unwrap();
    let submit = async |list: &[&Transaction]| rpc.submit_package(hex(list), None, None).await;
    let coin = first_coin(&rpc).await;
    let mut chain = vec![spend(&payer, &[coin], &[990_000])];
    for number in 1..26u64 {
        chain.push(spend(&payer, &coins(&chain[chain.len() - 1]), &[990_000 - number * 1_000]));
    }
    let all: Vec<&Transaction> = chain.iter().collect();
    let whole: v30::TestMempoolAccept = parsed(test(&all[..25]).await);
    assert!(whole.0.iter().all(|one| one.allowed), "{whole:?}");
    for tx in &chain[..20] {
        send(&rpc, tx).await.unwrap();
    }
    let rest = test(&all[20..]).await;
    assert_eq!(
        (&rest[4]["allowed"], &rest[5]["reject-reason"]),
        (&json!(true), &json!("too-long-mempool-chain"))
    );

    let rival = spend(&payer, &[coin], &[900_000]);
    let fault = async |list: &[&Transaction], fault: &str| {
        let tested = test(list).await;
        for (one, tx) in tested.as_array().unwrap().iter().zip(list) {
            let txid = json!(tx.compute_txid());
            assert_eq!((&one["txid"], &one["package-error"]), (&txid, &json!(fault)));
            assert!(one.get("allowed").is_none());
        }
    };
    fault(&[&chain[20], &chain[20]], "package-contains-duplicates").await;
    fault(&[&chain[21], &chain[20]], "package-not-sorted").await;
    fault(&[&chain[0], &rival], "conflict-in-package").await;
    let topology = "package topology disallowed";
    refused(submit(&[&chain[20], &rival]).await, errors::VERIFY, topology);
    refused(submit(&[&chain[20], &chain[21], &chain[22]]).await, errors::VERIFY, topology);
    let twice = spend(&payer, &[coin, (coins(&rival)[0])], &[800_000]);
    let refused_whole: v30::SubmitPackage = parsed(submit(&[&rival, &twice]).await.unwrap());
    assert_eq!(refused_whole.package_msg, "conflict-in-package");
    assert!(
        refused_whole.tx_results.values().all(|one| one.error.as_deref() == Some("package-not-validated"))
    );

    // A parent that pays nothing for whom it replaces, and the child that pays for all.
    let parent = spend(&payer, &[coin], &[999_900]);
    let poor = spend(&payer, &coins(&parent), &[980_000]);
    let lacking: v30::SubmitPackage = parsed(submit(&[&parent, &poor]).await.unwrap());
    assert_eq!(
        (lacking.package_msg.as_str(), lacking.replaced_transactions.len()),
        ("transaction failed", 0)
    );
    assert!(
        lacking.tx_results.values().all(|one| one.error.as_ref().unwrap().starts_with("insufficient fee"))
    );
    assert_eq!(pooled(&rpc).await, 20);
    let child = spend(&payer, &coins(&parent), &[950_000]);
    let taken: v30::SubmitPackage = parsed(submit(&[&parent, &child]).await.unwrap());
    assert_eq!((taken.package_msg.as_str(), taken.replaced_transactions.len()), ("success", 20));
    assert_eq!(pooled(&rpc).await, 2);
    node.stop().await.unwrap();
}

async fn waits(mut is_there: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_there().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it comes");
}

async fn pooled(node: &HttpClient) -> usize {
    node.get_raw_mempool(None, None).await.unwrap().as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_outlives_its_node_and_a_damaged_one_costs_nothing_else() {
    let (payer, dir) = (Payer::new(&Farm::easy(0, [7; 32]).spec), tempfile::tempdir().unwrap());
    let (node, rpc) = nodes::node(&payer.spec, dir.path(), vec![]).await;
    let first = spend(&payer, &[first_coin(&rpc).await], &[400_000, 400_000]);
    let poor = spend(&payer, &coins(&first)[..1], &[400_000]);
    let child = spend(&payer, &coins(&poor), &[390_000]);
    send(&rpc, &first).await.unwrap_err();
    rpc.send_raw_transaction(serialize_hex(&first), Some(json!(0)), None).await.unwrap();
    let package = vec![serialize_hex(&poor), serialize_hex(&child)];
    assert_eq!(rpc.submit_package(package, None, None).await.unwrap()["package_msg"], "success");
    let first_id = first.compute_txid().to_string();
    rpc.prioritise_transaction(first_id.clone(), None, -7).await.unwrap();
    let before = rpc.get_mempool_entry(first_id.clone()).await.unwrap();
    node.stop().await.unwrap();

    let (node, rpc) = nodes::node(&payer.spec, dir.path(), vec![]).await;
    waits(async || rpc.get_mempool_info().await.unwrap()["loaded"] == true).await;
    assert_eq!(pooled(&rpc).await, 3);
    let after = rpc.get_mempool_entry(first_id).await.unwrap();
    assert_eq!(after, before, "with its time, what was added to its fee, and that it was sent from here");
    node.stop().await.unwrap();

    let file = dir.path().join("pool.dat");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    std::fs::write(dir.path().join("fee_estimates.dat"), b"garbage").unwrap();
    let (node, rpc) = nodes::node(&payer.spec, dir.path(), vec![]).await;
    assert_eq!(
        (pooled(&rpc).await, rpc.get_mempool_info().await.unwrap()["loaded"].clone()),
        (0, json!(true))
    );
    node.stop().await.unwrap();
}

/// What was sent while nobody was there is told to who comes, children before parents or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_get_what_they_missed() {
    let (payer, dir) = (Payer::new(&Farm::easy(0, [7; 32]).spec), tempfile::tempdir().unwrap());
    let (one, rpc_one) = nodes::node(&payer.spec, &dir.path().join("one"), vec![]).await;
    let mut tx = spend(&payer, &[first_coin(&rpc_one).await], &[990_000]);
    for number in 1..=6 {
        send(&rpc_one, &tx).await.unwrap();
        tx = spend(&payer, &coins(&tx), &[990_000 - number * 1_000]);
    }
    let (two, rpc_two) = nodes::node(&payer.spec, &dir.path().join("two"), one.listen.clone()).await;
    waits(async || pooled(&rpc_two).await == 6).await;
    for node in [one, two] {
        node.stop().await.unwrap();
    }
}

/// A child of what a reorg took away leaves, and its parent comes back with it if it can.
#[test]
fn a_reorg_takes_out_at_once_what_cannot_be_any_more() {
    let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
    let (farm, other) = (payer.farm(7), payer.farm(8));
    let dir = tempfile::tempdir().unwrap();
    let mut one = payer::open(&farm, &dir.path().join("one.redb"));
    let mut two = payer::open(&farm, &dir.path().join("two.redb"));
    let coin = Payer::coin(&one);
    let here = payer.pay(coin, 1_000_000, 1_000);
    payer::send(&mut one, &here);
    payer::mine(&farm, &mut one, 1);
    payer::send(&mut one, &payer.pay(payer::coin_of(&here), 999_000, 1_000));
    payer::send(&mut two, &payer.pay(coin, 1_000_000, 2_000));
    for _ in 0..2 {
        let bytes = payer::mine(&other, &mut two, 2);
        one.take_block(&bytes, payer::NOW).unwrap();
    }
    assert_eq!(payer::tip(&one), payer::tip(&two));
    assert!(one.pool().is_empty());
}

/// Blocks teach what a fee buys.
#[test]
fn estimates_come_from_blocks() {
    let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
    let (farm, dir) = (payer.farm(7), tempfile::tempdir().unwrap());
    let mut chain = payer::open(&farm, &dir.path().join("chain.redb"));
    let first = spend(&payer, &[(Payer::coin(&chain), 1_000_000)], &[19_000; 50]);
    payer::send(&mut chain, &first);
    payer::mine(&farm, &mut chain, 1);
    let fee = 300;
    let mut all: Vec<Coin> = coins(&first);
    for _ in 0..12 {
        let paid: Vec<Transaction> =
            all.iter().map(|coin| spend(&payer, &[*coin], &[coin.1 - fee])).collect();
        paid.iter().for_each(|tx| payer::send(&mut chain, tx));
        payer::mine(&farm, &mut chain, 1);
        all = paid.iter().flat_map(coins).collect();
    }
    let estimate = chain.estimator().estimate(2, false);
    let rate = estimate.fee_rate.expect("six hundred payments were seen").get();
    let paid = fee * 1000 / 438;
    assert!((paid * 95 / 100..=paid * 105 / 100).contains(&rate), "{rate} for {paid}");
}
