//! The line to the node of one chain: a task that asks for work and passes on what is to be sealed. The node answers when
//! there is other work, so that nothing is asked in vain.
//!
//! Each chain has its own, so that a node that hangs holds up no other chain.

use std::time::Duration;

use mass_consensus::header::{Header, SealClaim};
use mass_primitives::{BlockId, ChainId, Decode, Encode, FarmerPublicKey, SealSignature, VrfProof};
use mass_rpc::{Ban, ClientError, CoinsClient, HttpClient, MassClient, Pending, Status, Work};
use tokio::{sync::mpsc, time::Instant};

/// How often the node is asked for work at the most: a fraction of the shortest slot.
const POLL: Duration = Duration::from_millis(200);

/// What the node is asked beside work.
#[derive(Debug)]
pub enum Ask {
    /// The header of a block for this claim, which pays to this address.
    Prepare { claim: Box<SealClaim>, payout: String },
    /// Publish the block of this header.
    Submit { header: Box<Header>, vrf_proof: VrfProof, signature: SealSignature },
    /// Who is banned, how the node fares, and what the farmer is still to be paid.
    Health,
}

/// What the node says.
#[derive(Debug)]
pub enum Said {
    /// What the next block must carry, and the newest slot that the key has sealed.
    Work(Box<Work>),
    /// It does not answer, or has no work.
    Failed(String),
    /// The header for a claim, or why there is none.
    Prepared(Box<SealClaim>, Result<Header, String>),
    /// The block was taken, or why not.
    Submitted(Result<BlockId, String>),
    /// Rewards only from a node that tells of them.
    Health(Vec<Ban>, Box<Status>, Option<Vec<Pending>>),
}

/// Starts the line; it ends when the sender of questions is dropped.
pub fn spawn<R: Send + 'static>(
    chain: ChainId,
    farmer: FarmerPublicKey,
    client: HttpClient,
    reports: mpsc::UnboundedSender<R>,
    report: fn(ChainId, Said) -> R,
) -> mpsc::UnboundedSender<Ask> {
    let (asks, mut inbox) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut work = Box::pin(next_work(client.clone(), farmer, None, Instant::now()));
        loop {
            let said = tokio::select! {
                biased;
                ask = inbox.recv() => match ask {
                    Some(ask) => answer(&client, farmer, ask).await,
                    None => return,
                },
                (answer, next) = &mut work => {
                    work.set(next_work(client.clone(), farmer, answer.as_ref().ok().cloned(), next));
                    match answer {
                        Ok(work) => Said::Work(Box::new(work)),
                        Err(error) => Said::Failed(text(&error)),
                    }
                }
            };
            if reports.send(report(chain, said)).is_err() {
                return;
            }
        }
    });
    asks
}

/// Asks for other work than what is known, at the given time; with the answer, the time to ask again.
async fn next_work(
    client: HttpClient,
    farmer: FarmerPublicKey,
    known: Option<Work>,
    time: Instant,
) -> (Result<Work, ClientError>, Instant) {
    tokio::time::sleep_until(time).await;
    let next = Instant::now() + POLL;
    (client.work(Some(farmer), known).await, next)
}

async fn answer(client: &HttpClient, farmer: FarmerPublicKey, ask: Ask) -> Said {
    match ask {
        Ask::Prepare { claim, payout } => {
            let header = prepare(client, &claim, payout).await;
            Said::Prepared(claim, header)
        }
        Ask::Submit { header, vrf_proof, signature } => {
            let taken = client.submit_seal(hex::encode(header.to_bytes()), vrf_proof, signature).await;
            Said::Submitted(taken.map_err(|error| text(&error)))
        }
        Ask::Health => match (client.bans().await, client.status().await) {
            (Ok(bans), Ok(status)) => Said::Health(bans, Box::new(status), client.pending(farmer).await.ok()),
            (Err(error), _) | (_, Err(error)) => Said::Failed(text(&error)),
        },
    }
}

async fn prepare(client: &HttpClient, claim: &SealClaim, payout: String) -> Result<Header, String> {
    let header = client.prepare_block(hex::encode(claim.to_bytes()), payout).await;
    let header = header.map_err(|error| text(&error))?;
    let bytes = hex::decode(header).map_err(|_| "the node's header is not hexadecimal")?;
    Header::from_bytes(&bytes).map_err(|error| format!("the node's header: {error}"))
}

fn text(error: &ClientError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jsonrpsee::{RpcModule, server::Server};
    use mass_primitives::{Height, Seed, Slot};
    use tokio::sync::watch;

    use super::*;

    fn work(slot: u64) -> Work {
        Work {
            chain: ChainId::ZERO,
            tip: BlockId::ZERO,
            height: Height::new(1),
            after: Slot::ZERO,
            seed: Seed::ZERO,
            difficulty: "1".to_owned(),
            now: Slot::new(slot),
            sealed: None,
        }
    }

    /// A node that answers when it has other work than what is known, as a real one does.
    #[tokio::test]
    async fn work_is_told_once_and_waiting_for_it_holds_up_nothing_else() {
        let (slot, slots) = watch::channel(7);
        let mut module = RpcModule::new(slots);
        module
            .register_async_method("mass_work", async |params, slots, _| {
                let (farmer, known): (FarmerPublicKey, Option<Work>) = params.parse().unwrap();
                assert_eq!(farmer, FarmerPublicKey::ZERO);
                let mut slots = watch::Receiver::clone(&slots);
                let is_new = |slot: &u64| known.as_ref() != Some(&work(*slot));
                let slot = *slots.wait_for(is_new).await.unwrap();
                serde_json::to_value(work(slot)).unwrap()
            })
            .unwrap();
        module.register_method("mass_bans", |_, _, _| serde_json::json!([])).unwrap();
        let server = Server::builder().build("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let server = server.start(module);
        let (reports, mut inbox) = mpsc::unbounded_channel();
        let client = mass_rpc::client(&url).unwrap();
        let asks = spawn(ChainId::ZERO, FarmerPublicKey::ZERO, client, reports, |_, said| Arc::new(said));
        let mut next = async || inbox.recv().await.unwrap();
        let slot_of = |said: &Said| match said {
            Said::Work(work) => work.now.get(),
            other => panic!("{other:?}"),
        };
        assert_eq!(slot_of(&*next().await), 7);
        for now in 8..11 {
            // Work is waited for meanwhile. This node does not say how it fares, which is an answer too.
            asks.send(Ask::Health).unwrap();
            let said = next().await;
            assert!(
                matches!(&*said, Said::Failed(reason) if reason.contains("Method not found")),
                "{said:?}"
            );
            slot.send(now).unwrap();
            assert_eq!(slot_of(&*next().await), now);
        }
        server.stop().unwrap();
        assert!(matches!(&*next().await, Said::Failed(_)));
    }
}
