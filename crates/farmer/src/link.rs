//! The line to the node of one chain: a task that asks for work and passes on what is to be sealed.
//!
//! Each chain has its own, so that a node that hangs holds up no other chain.

use std::time::Duration;

use mass_consensus::header::{Header, SealClaim};
use mass_primitives::{BlockId, ChainId, Decode, Encode, FarmerPublicKey, SealSignature, VrfProof};
use mass_rpc::{Ban, ClientError, HttpClient, LastSeal, MassClient, Pending, Status, Work};
use tokio::sync::mpsc;

/// How often the node is asked for work: a fraction of the shortest slot.
const POLL: Duration = Duration::from_millis(200);

/// What the node is asked beside work.
#[derive(Debug)]
pub enum Ask {
    /// The header of a block for this claim, which pays to this address.
    Prepare { claim: Box<SealClaim>, payout: String },
    /// Publish the block of this header.
    Submit { header: Header, vrf_proof: VrfProof, signature: SealSignature },
    /// Who is banned, how the node fares, and what the farmer is still to be paid.
    Health(FarmerPublicKey),
}

/// What the node says.
#[derive(Debug)]
pub enum Said {
    /// What the next block must carry, and the newest slot that the key has sealed.
    Work(Box<Work>, Option<LastSeal>),
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
        let mut clock = tokio::time::interval(POLL);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let said = tokio::select! {
                biased;
                ask = inbox.recv() => match ask {
                    Some(ask) => answer(&client, ask).await,
                    None => return,
                },
                _ = clock.tick() => match tokio::try_join!(client.work(), client.last_seal(farmer)) {
                    Ok((work, sealed)) => Said::Work(Box::new(work), sealed),
                    Err(error) => Said::Failed(text(&error)),
                },
            };
            if reports.send(report(chain, said)).is_err() {
                return;
            }
        }
    });
    asks
}

async fn answer(client: &HttpClient, ask: Ask) -> Said {
    match ask {
        Ask::Prepare { claim, payout } => {
            let header = prepare(client, &claim, payout).await;
            Said::Prepared(claim, header)
        }
        Ask::Submit { header, vrf_proof, signature } => {
            let taken = client.submit_seal(hex::encode(header.to_bytes()), vrf_proof, signature).await;
            Said::Submitted(taken.map_err(|error| text(&error)))
        }
        Ask::Health(farmer) => match (client.bans().await, client.status().await) {
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
