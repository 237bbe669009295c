//! Wallets of the Bitcoin Dev Kit over both servers: create, receive, send, bump the fee, see it confirmed.
#![allow(deprecated, reason = "signing by the wallet itself is what most programs on BDK do today")]

use bdk_electrum::{BdkElectrumClient, electrum_client};
use bdk_esplora::{EsploraExt as _, esplora_client};
use bdk_wallet::{
    KeychainKind, SignOptions, Wallet,
    bitcoin::{Amount, FeeRate, Network as BitcoinNetwork, Transaction, Txid},
};
use mass_clients::{Network, eventually, theirs};

const KEY: &str = "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK";

fn wallet(network: &Network) -> anyhow::Result<Wallet> {
    let descriptor = |change: u8| format!("wpkh({KEY}/84'/297'/0'/{change}/*)");
    let params = Wallet::create(descriptor(0), descriptor(1)).network(BitcoinNetwork::Regtest);
    Ok(params.genesis_hash(network.genesis()?).create_wallet_no_persist()?)
}

/// What a wallet needs of a server.
trait Server {
    fn scan(&self, wallet: &mut Wallet) -> anyhow::Result<()>;
    fn sync(&self, wallet: &mut Wallet) -> anyhow::Result<()>;
    fn broadcast(&self, tx: &Transaction) -> anyhow::Result<()>;
}

struct Electrum(BdkElectrumClient<electrum_client::Client>);

impl Server for Electrum {
    fn scan(&self, wallet: &mut Wallet) -> anyhow::Result<()> {
        let update = self.0.full_scan(wallet.start_full_scan(), 5, 5, true)?;
        Ok(wallet.apply_update(update)?)
    }

    fn sync(&self, wallet: &mut Wallet) -> anyhow::Result<()> {
        let update = self.0.sync(wallet.start_sync_with_revealed_spks(), 5, true)?;
        Ok(wallet.apply_update(update)?)
    }

    fn broadcast(&self, tx: &Transaction) -> anyhow::Result<()> {
        self.0.transaction_broadcast(tx)?;
        Ok(())
    }
}

struct Esplora(esplora_client::BlockingClient);

impl Server for Esplora {
    fn scan(&self, wallet: &mut Wallet) -> anyhow::Result<()> {
        let update = self.0.full_scan(wallet.start_full_scan(), 5, 2)?;
        Ok(wallet.apply_update(update)?)
    }

    fn sync(&self, wallet: &mut Wallet) -> anyhow::Result<()> {
        let update = self.0.sync(wallet.start_sync_with_revealed_spks(), 2)?;
        Ok(wallet.apply_update(update)?)
    }

    fn broadcast(&self, tx: &Transaction) -> anyhow::Result<()> {
        Ok(self.0.broadcast(tx)?)
    }
}

fn is_confirmed(wallet: &Wallet, txid: Txid) -> bool {
    wallet.get_tx(txid).is_some_and(|tx| tx.chain_position.is_confirmed())
}

fn a_wallet_lives(network: &Network, server: &impl Server) -> anyhow::Result<()> {
    let mut wallet = wallet(network)?;
    server.scan(&mut wallet)?;
    assert_eq!(wallet.balance().total(), Amount::ZERO);

    let address = wallet.reveal_next_address(KeychainKind::External).address;
    let paid: Txid = network.pay(&address, 50_000_000)?.parse()?;
    // A block may be as fast as the first look.
    eventually("the payment is seen", || {
        server.sync(&mut wallet)?;
        Ok(wallet.balance().total() == Amount::from_sat(50_000_000))
    })?;
    eventually("the payment is confirmed", || {
        server.sync(&mut wallet)?;
        Ok(is_confirmed(&wallet, paid))
    })?;
    assert_eq!(wallet.balance().confirmed, Amount::from_sat(50_000_000));

    let payee = network.run(&["wallet", "address", "--wallet", &network.path("faucet")], "")?;
    let payee = theirs(payee["address"].as_str().unwrap())?.script_pubkey();
    let mut builder = wallet.build_tx();
    builder.add_recipient(payee, Amount::from_sat(20_000_000)).fee_rate(FeeRate::from_sat_per_vb_u32(2));
    let mut psbt = builder.finish()?;
    assert!(wallet.sign(&mut psbt, SignOptions::default())?);
    let first = psbt.extract_tx()?;
    server.broadcast(&first)?;
    wallet.apply_unconfirmed_txs([(first.clone(), 1)]);

    // The first may be confirmed before it is replaced: then there is nothing to bump, and another one is tried.
    let mut last = first.compute_txid();
    let bumped = bump(&mut wallet, server, last)?;
    if let Some(bumped) = bumped {
        last = bumped;
    }
    eventually("the payment is confirmed", || {
        server.sync(&mut wallet)?;
        Ok(is_confirmed(&wallet, last))
    })?;
    let fee = wallet.calculate_fee(&wallet.get_tx(last).unwrap().tx_node.tx)?;
    assert_eq!(wallet.balance().confirmed, Amount::from_sat(30_000_000) - fee);
    assert!(bumped.is_some(), "the fee was bumped before a block came");

    // What is restored from the keys alone is the same.
    let mut restored = self::wallet(network)?;
    server.scan(&mut restored)?;
    assert_eq!(restored.balance(), wallet.balance());
    assert!(server.broadcast(&first).is_err(), "a spent coin is not spent again");
    Ok(())
}

/// Pays more for a payment that waits; `None` if a block was faster.
fn bump(wallet: &mut Wallet, server: &impl Server, txid: Txid) -> anyhow::Result<Option<Txid>> {
    let mut builder = wallet.build_fee_bump(txid)?;
    builder.fee_rate(FeeRate::from_sat_per_vb_u32(10));
    let mut psbt = builder.finish()?;
    assert!(wallet.sign(&mut psbt, SignOptions::default())?);
    let tx = psbt.extract_tx()?;
    if let Err(error) = server.broadcast(&tx) {
        server.sync(wallet)?;
        return if is_confirmed(wallet, txid) { Ok(None) } else { Err(error) };
    }
    wallet.apply_unconfirmed_txs([(tx.clone(), 2)]);
    Ok(Some(tx.compute_txid()))
}

#[test]
#[ignore = "slow: cargo xtask slow clients"]
fn a_bdk_wallet_lives_on_the_electrum_server() -> anyhow::Result<()> {
    let network = Network::start(&[])?;
    let client = electrum_client::Client::new(&format!("tcp://{}", network.electrum))?;
    a_wallet_lives(&network, &Electrum(BdkElectrumClient::new(client)))
}

#[test]
#[ignore = "slow: cargo xtask slow clients"]
fn a_bdk_wallet_lives_on_the_esplora_server() -> anyhow::Result<()> {
    let network = Network::start(&[])?;
    let client = esplora_client::Builder::new(&network.esplora).build_blocking();
    a_wallet_lives(&network, &Esplora(client))
}
