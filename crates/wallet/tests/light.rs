//! A wallet that trusts no node, before nodes that lie: each lie is found and named, alone and beside an honest node.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod liar;
#[path = "../../node/tests/nodes/mod.rs"]
mod nodes;

use std::{path::Path, sync::Arc};

use bitcoin::{
    Block,
    consensus::encode::{deserialize_hex, serialize_hex},
};
use farm::Farm;
use liar::{Change, liar};
use mass_consensus::{
    difficulty::compact_target,
    header::{Header, SealedHeader},
};
use mass_primitives::{Amount, Decode as _, Difficulty, Encode as _, Height, Seed};
use mass_rpc::{BitcoinClient as _, HttpClient, errors};
use mass_wallet::{
    DEV_FAUCET_PHRASE, FEE_RATE_DEFAULT, Wallet, WalletError, Words,
    light::{Lie, LightError, LightSynced, Source},
};
use nodes::{mine, node};
use serde_json::{Value, json};

const PAID: u64 = 12_345_678_901;
const BLOCKS: u32 = 20;
/// The block that pays the wallet.
const PAYS: u32 = 12;

fn source(name: &str, client: &HttpClient) -> Source {
    Source::new(name.to_owned(), client.clone())
}

/// A chain with one payment to a wallet, and the wallet's phrase.
async fn chain(farm: &Farm, rpc: &HttpClient, home: &Path) -> String {
    let mut faucet = Wallet::restore(&home.join("faucet"), &farm.spec, DEV_FAUCET_PHRASE).unwrap();
    let (mut payee, phrase) = Wallet::create(&home.join("payee"), &farm.spec, Words::Twelve).unwrap();
    let stranger = faucet.address(1_000);
    for _ in 1..PAYS {
        mine(farm, rpc, &stranger).await;
    }
    let to = payee.new_address().unwrap();
    faucet.sync(rpc).await.unwrap();
    faucet.send(rpc, &to, Amount::new(PAID), FEE_RATE_DEFAULT).await.unwrap();
    for _ in PAYS..=BLOCKS {
        mine(farm, rpc, &stranger).await;
    }
    phrase.reveal().to_owned()
}

/// Changes what stands at `list[at]` of the answer of a method, where the list begins at the height asked for.
fn at_height(
    method: &'static str,
    list: &'static str,
    height: u32,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> Change {
    Arc::new(move |called, params, mut answer| {
        if called == method {
            let from = params[0].as_u64().unwrap() as u32;
            if let Some(value) = height.checked_sub(from).and_then(|at| answer[list].get_mut(at as usize)) {
                change(value);
            }
        }
        Ok(answer)
    })
}

fn flip(text: &mut Value, at: usize) {
    let mut bytes = hex::decode(text.as_str().unwrap()).unwrap();
    let at = if at < bytes.len() { at } else { bytes.len() - 1 };
    bytes[at] ^= 1;
    *text = hex::encode(bytes).into();
}

/// A header that its farmer sealed anew with another claim: proven, but not in its place.
fn resealed(farm: &Farm, text: &mut Value, change: impl Fn(&mut mass_consensus::header::SealClaim)) {
    let sealed = SealedHeader::from_bytes(&hex::decode(text.as_str().unwrap()).unwrap()).unwrap();
    let mut claim = sealed.seal.claim;
    change(&mut claim);
    let (version, nonce) = Header::commitment_fields(&claim.commitment());
    let header = Header { version, nonce, bits: compact_target(claim.difficulty), ..sealed.header };
    *text = hex::encode(farm.sign(header, claim).to_bytes()).into();
}

fn on_block(
    height: u32,
    change: impl Fn(&mut Block) + Send + Sync + 'static,
    ids: Arc<Vec<Value>>,
) -> Change {
    Arc::new(move |method, params, mut answer| {
        if method == "getblock" && params[0] == ids[height as usize] {
            let mut block: Block = deserialize_hex(answer.as_str().unwrap()).unwrap();
            change(&mut block);
            answer = serialize_hex(&block).into();
        }
        Ok(answer)
    })
}

fn refuse(refused: &'static str) -> Change {
    Arc::new(move |method, _, answer| if method == refused { Err(errors::misc("no")) } else { Ok(answer) })
}

/// Changes the lists of headers from a height on.
fn on_headers(change: impl Fn(u64, &mut Vec<Value>) + Send + Sync + 'static) -> Change {
    Arc::new(move |method, params, mut answer| {
        if method == "mass_headers" {
            change(params[0].as_u64().unwrap(), answer["headers"].as_array_mut().unwrap());
        }
        Ok(answer)
    })
}

/// Lies about headers, by the name that a wallet is to give each.
fn header_lies() -> Vec<(&'static str, Change)> {
    let header =
        |change: Box<dyn Fn(&mut Value) + Send + Sync>| at_height("mass_headers", "headers", 7, change);
    let flipped = |at: usize| header(Box::new(move |text| flip(text, at)));
    vec![
        ("header-form", header(Box::new(|text| *text = "00ff".into()))),
        ("header-form", header(Box::new(|text| *text = "no hex".into()))),
        // Its root, its time, its seal's proof, and its signature, the last bytes.
        ("header-forged", flipped(40)),
        ("header-forged", flipped(70)),
        ("header-forged", flipped(300)),
        ("header-forged", flipped(usize::MAX)),
        ("withheld-header", on_headers(|from, list| list.truncate(if from == 1 { 5 } else { 0 }))),
        ("header-misplaced", on_headers(|_, list| drop(list.remove(4)))),
        (
            "header-misplaced",
            on_headers(|from, list| {
                if from == 1 {
                    list.swap(8, 9);
                }
            }),
        ),
    ]
}

/// Lies about filters and blocks.
fn content_lies(ids: &Arc<Vec<Value>>) -> Vec<(&'static str, Change)> {
    let filter = |change: fn(&mut Value)| at_height("mass_filters", "filters", PAYS, change);
    let block = |change: fn(&mut Block)| on_block(PAYS, change, ids.clone());
    let wherever = |wanted: &'static str, change: fn(&mut Value)| -> Change {
        Arc::new(move |method, _, mut answer| {
            if method == wanted {
                change(&mut answer);
            }
            Ok(answer)
        })
    };
    vec![
        ("withheld-filter", refuse("mass_filters")),
        ("filter-form", filter(|filter| filter["hash"] = "00".repeat(32).into())),
        ("filter-form", filter(|filter| filter["filter"] = "no hex".into())),
        ("filter-form", wherever("mass_filters", |answer| answer["previous"] = "11".repeat(32).into())),
        ("withheld-block", refuse("getblock")),
        ("block-forged", wherever("getblock", |answer| *answer = "00".repeat(200).into())),
        (
            "merkle-forged",
            block(|block| {
                let output = block.txdata[1].output.iter_mut().max_by_key(|output| output.value).unwrap();
                output.value += bitcoin::Amount::from_sat(1);
            }),
        ),
        ("merkle-forged", block(|block| block.txdata.extend_from_within(..))),
        ("block-forged", block(|block| block.txdata[1].input[0].witness.clear())),
    ]
}

/// Headers that a farmer seals anew with a claim that does not fit.
async fn misplaced(farm: &Farm, rpc: &HttpClient) -> Vec<(&'static str, Change)> {
    let answer = mass_rpc::call(rpc, "mass_headers", vec![json!(7), json!(1)]).await.unwrap();
    let good = answer["headers"][0].clone();
    let changes: [fn(&mut mass_consensus::header::SealClaim); 3] = [
        |claim| claim.difficulty = Difficulty::new(claim.difficulty.get() - 1),
        |claim| claim.height = Height::new(8),
        |claim| claim.seed = Seed::new([9; 32]),
    ];
    let mut lies = Vec::new();
    for (kind, change) in ["header-misplaced", "header-misplaced", "header-forged"].into_iter().zip(changes) {
        let mut text = good.clone();
        resealed(farm, &mut text, change);
        lies.push((kind, at_height("mass_headers", "headers", 7, move |value| *value = text.clone())));
    }
    lies
}

async fn ids(rpc: &HttpClient) -> Arc<Vec<Value>> {
    let mut ids = Vec::new();
    for height in 0..=BLOCKS {
        ids.push(json!(rpc.get_block_hash(Height::new(height)).await.unwrap()));
    }
    Arc::new(ids)
}

fn kinds(synced: &LightSynced, name: &str) -> Vec<&'static str> {
    synced.lies.iter().filter(|lie| lie.node == name).map(|lie| lie.what.kind()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_lie_is_found_and_named() {
    let farm = Farm::new(8);
    let home = tempfile::tempdir().unwrap();
    let (handle, rpc) = node(&farm.spec, &home.path().join("node"), vec![]).await;
    let phrase = chain(&farm, &rpc, home.path()).await;
    let ids = ids(&rpc).await;
    let mut number = 0;
    let mut wallet = || {
        number += 1;
        Wallet::restore(&home.path().join(format!("light{number}")), &farm.spec, &phrase).unwrap()
    };
    let mut all = header_lies();
    all.extend(content_lies(&ids));
    all.extend(misplaced(&farm, &rpc).await);
    for (at, (kind, change)) in all.into_iter().enumerate() {
        let (server, lying) = liar(&rpc, change).await;
        let mut alone = wallet();
        let error = alone.sync_light(&farm.spec, vec![source("liar", &lying)], |_| {}).await.unwrap_err();
        let WalletError::Light(error) = error else { panic!("{at} {kind}: {error}") };
        let LightError::NoHonestNode(findings) = *error else { panic!("{at} {kind}: {error}") };
        assert!(
            findings.iter().any(|found| found.what.kind() == kind && found.node == "liar"),
            "{at} {kind}: {findings:?}"
        );
        let is_excused = ["withheld-filter", "withheld-block"].contains(&kind);
        assert!(findings.iter().all(|found| found.what.is_lie() != is_excused), "{findings:?}");
        assert_eq!(alone.balance().total(), Amount::ZERO, "{at} {kind}: nothing of it is believed");

        let mut both = wallet();
        let sources = vec![source("liar", &lying), source("honest", &rpc)];
        let synced = both.sync_light(&farm.spec, sources, |_| {}).await.unwrap();
        assert_eq!(both.balance().confirmed, Amount::new(PAID), "{at} {kind}");
        assert_eq!(kinds(&synced, "liar"), [kind], "{at}");
        assert_eq!(kinds(&synced, "honest"), ["stale"], "the test's chain began long ago");
        server.stop().unwrap();
    }
    handle.stop().await.unwrap();
}

/// A filter without the wallet's script hides its payment from who asks one node alone and is not lucky. A second
/// node gives the lie away; and the transactions by which it is settled cannot be forged either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_filter_is_found_beside_an_honest_node() {
    let farm = Farm::new(8);
    let home = tempfile::tempdir().unwrap();
    let (handle, rpc) = node(&farm.spec, &home.path().join("node"), vec![]).await;
    let phrase = chain(&farm, &rpc, home.path()).await;
    let restore = |name: &str| Wallet::restore(&home.path().join(name), &farm.spec, &phrase).unwrap();
    let hide = |filter: &mut Value| filter["filter"] = "00".into();
    let forged = at_height("mass_filters", "filters", PAYS, hide);
    let (server, lying) = liar(&rpc, forged.clone()).await;
    for order in [["liar", "honest"], ["honest", "liar"]] {
        let sources = order.map(|name| source(name, if name == "liar" { &lying } else { &rpc }));
        let mut wallet = restore(order[0]);
        let synced = wallet.sync_light(&farm.spec, sources.to_vec(), |_| {}).await.unwrap();
        assert_eq!(
            (kinds(&synced, "liar"), kinds(&synced, "honest")),
            (vec!["filter-forged"], vec!["stale"])
        );
        assert_eq!(wallet.balance().confirmed, Amount::new(PAID));
    }

    // Transactions that would make the forged filter the true one.
    let both: Change = Arc::new(move |method, params, answer| match method {
        "mass_spentTransactions" => Ok(json!(["00"])),
        _ => forged(method, params, answer),
    });
    let (second, worse) = liar(&rpc, both).await;
    let mut wallet = restore("worse");
    let sources = vec![source("liar", &worse), source("honest", &rpc)];
    let synced = wallet.sync_light(&farm.spec, sources, |_| {}).await.unwrap();
    assert!(
        synced
            .lies
            .iter()
            .any(|found| matches!(found.what, Lie::SpentForged(..) | Lie::FilterForged(_))
                && found.node == "liar")
    );
    assert_eq!(wallet.balance().confirmed, Amount::new(PAID));

    // What it believed alone it takes back when it meets an honest node. Alone it may be lucky, too.
    let mut wallet = restore("alone");
    if wallet.sync_light(&farm.spec, vec![source("liar", &lying)], |_| {}).await.is_ok() {
        assert_eq!(wallet.balance().confirmed, Amount::ZERO);
    }
    let sources = vec![source("liar", &lying), source("honest", &rpc)];
    let synced = wallet.sync_light(&farm.spec, sources, |_| {}).await.unwrap();
    assert_eq!(
        (wallet.balance().confirmed, kinds(&synced, "liar")),
        (Amount::new(PAID), vec!["filter-forged"])
    );

    // All filters without anything in them: some block is read whose filter is then made anew.
    let empty: Change = Arc::new(|method, _, mut answer| {
        if method == "mass_filters" {
            answer["filters"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .for_each(|filter| filter["filter"] = "00".into());
        }
        Ok(answer)
    });
    let (third, empty) = liar(&rpc, empty).await;
    let error =
        restore("empty").sync_light(&farm.spec, vec![source("liar", &empty)], |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("forges the filter"), "{error}");
    for server in [server, second, third] {
        server.stop().unwrap();
    }
    handle.stop().await.unwrap();
}

/// Withheld newest blocks, a node that is silent, and one of another chain; then the sync goes on where it ended, and
/// through a reorganisation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_goes_on_where_it_ended() {
    let (farm, other) = (Farm::new(8), Farm::with_key(8, [8; 32]));
    let home = tempfile::tempdir().unwrap();
    let (one, rpc) = node(&farm.spec, &home.path().join("one"), vec![]).await;
    let (two, branch) = node(&farm.spec, &home.path().join("two"), vec![]).await;
    let phrase = chain(&farm, &rpc, home.path()).await;
    let mut wallet = Wallet::restore(&home.path().join("light"), &farm.spec, &phrase).unwrap();
    let withheld: Change = Arc::new(|method, params, mut answer| {
        if method == "mass_headers" {
            answer["tip"] = json!(BLOCKS - 4);
            let from = params[0].as_u64().unwrap() as usize;
            answer["headers"].as_array_mut().unwrap().truncate((BLOCKS as usize - 3).saturating_sub(from));
        }
        Ok(answer)
    });
    let (server, behind) = liar(&rpc, withheld).await;
    let nobody = mass_rpc::client("http://127.0.0.1:1").unwrap();
    let sources = vec![source("behind", &behind), source("nobody", &nobody), source("honest", &rpc)];
    let synced = wallet.sync_light(&farm.spec, sources, |_| {}).await.unwrap();
    assert_eq!((kinds(&synced, "behind"), kinds(&synced, "nobody")), (vec!["behind"], vec!["silent"]));
    assert_eq!((synced.headers, synced.height), (BLOCKS, Height::new(BLOCKS)));
    assert_eq!(wallet.balance().confirmed, Amount::new(PAID));
    // Alone it is believed as far as it goes, and its silence is named by the clock.
    let mut alone = Wallet::restore(&home.path().join("alone"), &farm.spec, &phrase).unwrap();
    let synced = alone.sync_light(&farm.spec, vec![source("behind", &behind)], |_| {}).await.unwrap();
    assert_eq!((synced.height, kinds(&synced, "behind")), (Height::new(BLOCKS - 4), vec!["stale"]));

    drop(wallet);
    let mut wallet = Wallet::open(&home.path().join("light"), &farm.spec).unwrap();
    let synced = wallet.sync_light(&farm.spec, vec![source("one", &rpc)], |_| {}).await.unwrap();
    assert_eq!((synced.headers, synced.filters, synced.blocks), (0, 0, 0), "nothing is looked at twice");
    let stranger = alone.address(50);
    mine(&farm, &rpc, &stranger).await;
    let synced = wallet.sync_light(&farm.spec, vec![source("one", &rpc)], |_| {}).await.unwrap();
    assert_eq!((synced.headers, synced.filters), (1, 1));

    // A heavier branch without the payment.
    for _ in 0..BLOCKS + 6 {
        mine(&other, &branch, &stranger).await;
    }
    let sources = vec![source("one", &rpc), source("two", &branch)];
    let synced = wallet.sync_light(&farm.spec, sources, |_| {}).await.unwrap();
    let heavier = branch.get_best_block_hash().await.unwrap();
    if synced.tip == heavier {
        assert_eq!(wallet.balance().confirmed, Amount::ZERO);
        assert_eq!(kinds(&synced, "one"), ["behind"]);
    }
    let synced = wallet.sync_light(&farm.spec, vec![source("one", &rpc)], |_| {}).await;
    drop(synced);
    server.stop().unwrap();
    for handle in [one, two] {
        handle.stop().await.unwrap();
    }
}
