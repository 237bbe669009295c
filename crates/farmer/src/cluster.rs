//! The farmers of a cluster: one is active, others stand by, and no two sign in one slot.
//!
//! Two things stand on the bus. The **lease** says who is active: its holder beats once a second, and whoever has seen
//! no beat for a while takes it by compare-and-set. The **record** has the last slot signed for each chain and key; a
//! slot is written there, by compare-and-set too, before a signature is made. So that two farmers should both
//! believe to be active costs reads, and never the key: the lease is for speed, the record for safety.

use std::time::Duration;

use mass_primitives::{ChainId, FarmerPublicKey, Slot};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::Instant};

use crate::bus::{Bus, BusConfig, BusError, Held, Store, random_name};

/// How often the holder of the lease shows that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// A holder that was not heard for so long is taken for dead: longer than a beat whose answer is lost, and the next.
const DEAD_AFTER: Duration = Duration::from_secs(6);
/// How long the bus may take to take a slot in: longer, and the slot is lost.
const PERMIT_PATIENCE: Duration = Duration::from_secs(3);
/// Others that may be faster before that is taken for an error.
const TRIES: usize = 8;

/// The key of the lease.
const LEASE: &str = "farmer";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Lease {
    /// A random number for each holder; nothing once it has stopped.
    holder: Option<String>,
    /// For people: which machine.
    name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Signed {
    slot: Slot,
}

/// A cluster that a farmer is a part of.
#[derive(Clone)]
pub struct Cluster {
    bus: Bus,
    store: Store,
    me: String,
    name: String,
}

/// The lease in hand. It is given back when this is [`released`](Self::release), and expires otherwise.
pub struct Active {
    cluster: Cluster,
    /// Nothing once it has ended.
    keeper: Option<tokio::task::JoinHandle<u64>>,
    stop: oneshot::Sender<()>,
}

impl Cluster {
    /// Joins a cluster, under a name for people. A bus that is not there yet is waited for; `waits` is told so, once.
    ///
    /// # Errors
    /// [`BusError`]: what no waiting mends.
    pub async fn join(
        config: &BusConfig,
        name: String,
        waits: impl FnOnce(&BusError),
    ) -> Result<Self, BusError> {
        let bus = Bus::connect(config).await?;
        let mut waits = Some(waits);
        let store = loop {
            match bus.store().await {
                Ok(store) => break store,
                Err(error) => {
                    waits.take().into_iter().for_each(|waits| waits(&error));
                    tokio::time::sleep(BEAT).await;
                }
            }
        };
        Ok(Self { bus, store, me: random_name(), name })
    }

    pub(crate) const fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Waits until nobody else is active, and then is. `stand_by` is told who is, when that is news.
    pub async fn activate(&self, mut stand_by: impl FnMut(&str)) -> Active {
        let mut seen: Option<(u64, Instant)> = None;
        let mut told = None;
        loop {
            let held = self.store.get::<Lease>(LEASE).await;
            if held.is_err() {
                // While the bus is away nobody can beat.
                seen = None;
            }
            if let Ok(held) = held {
                let revision = held.as_ref().map(|held| held.revision);
                let is_free = match &held {
                    None => true,
                    Some(Held { value: Lease { holder: None, .. }, .. }) => true,
                    Some(Held { revision, .. }) => match seen {
                        Some((last, since)) if last == *revision => since.elapsed() > DEAD_AFTER,
                        _ => {
                            seen = Some((*revision, Instant::now()));
                            false
                        }
                    },
                };
                if is_free && let Ok(Some(revision)) = self.beat(revision).await {
                    return self.keep(revision);
                }
                let holder = held.map(|held| held.value.name);
                if !is_free && holder != told {
                    holder.iter().for_each(|name| stand_by(name));
                    told = holder;
                }
            }
            tokio::time::sleep(BEAT / 2).await;
        }
    }

    async fn beat(&self, revision: Option<u64>) -> Result<Option<u64>, BusError> {
        let lease = Lease { holder: Some(self.me.clone()), name: self.name.clone() };
        self.store.set(LEASE, &lease, revision).await
    }

    fn keep(&self, mut revision: u64) -> Active {
        let (cluster, (stop, mut stopped)) = (self.clone(), oneshot::channel::<()>());
        let keeper = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut stopped => return revision,
                    () = tokio::time::sleep(BEAT) => {}
                }
                match cluster.beat(Some(revision)).await {
                    Ok(Some(next)) => revision = next,
                    // Somebody else was faster; or our own beat has come, and its answer has not.
                    Ok(None) => match cluster.store.get::<Lease>(LEASE).await {
                        Ok(Some(held)) if held.value.holder.as_ref() == Some(&cluster.me) => {
                            revision = held.revision;
                        }
                        Ok(_) => return revision,
                        Err(_) => {}
                    },
                    // The bus is away: nobody else can take the lease from it either.
                    Err(_) => {}
                }
            }
        });
        Active { cluster: self.clone(), keeper: Some(keeper), stop }
    }

    /// The last slots signed by a key.
    ///
    /// # Errors
    /// [`BusError`].
    pub(crate) async fn signed(&self, farmer: &FarmerPublicKey) -> Result<Vec<(ChainId, Slot)>, BusError> {
        let start = format!("signed.{farmer}.");
        let mut signed = Vec::new();
        for key in self.store.keys(&start).await? {
            let chain = key.strip_prefix(&start).and_then(|chain| chain.parse().ok());
            if let (Some(chain), Some(held)) = (chain, self.store.get::<Signed>(&key).await?) {
                signed.push((chain, held.value.slot));
            }
        }
        Ok(signed)
    }

    /// The last slot signed of a chain. The bus is waited for.
    pub(crate) async fn signed_of(&self, chain: ChainId, farmer: FarmerPublicKey) -> Option<Slot> {
        loop {
            match self.store.get::<Signed>(&signed_key(&chain, &farmer)).await {
                Ok(held) => return held.map(|held| held.value.slot),
                Err(_) => tokio::time::sleep(BEAT).await,
            }
        }
    }

    /// Uses up a slot for all farmers of the cluster.
    ///
    /// # Errors
    /// Why it may not be signed, in words: it was used up by another, or the bus has not taken it in time.
    pub(crate) async fn permit(
        &self,
        chain: ChainId,
        farmer: FarmerPublicKey,
        slot: Slot,
    ) -> Result<(), String> {
        let key = signed_key(&chain, &farmer);
        let take = async {
            for _ in 0..TRIES {
                let held = self.store.get::<Signed>(&key).await.map_err(|error| error.to_string())?;
                if let Some(last) = held.as_ref().map(|held| held.value.slot).filter(|last| slot <= *last) {
                    return Err(format!("another farmer of the cluster has signed up to slot {last}"));
                }
                let revision = held.map(|held| held.revision);
                let set = self.store.set(&key, &Signed { slot }, revision).await;
                if set.map_err(|error| error.to_string())?.is_some() {
                    return Ok(());
                }
            }
            Err("others sign all the time".to_owned())
        };
        let late = || Err(format!("the bus has not answered for {} seconds", PERMIT_PATIENCE.as_secs()));
        tokio::time::timeout(PERMIT_PATIENCE, take).await.unwrap_or_else(|_| late())
    }
}

fn signed_key(chain: &ChainId, farmer: &FarmerPublicKey) -> String {
    format!("signed.{farmer}.{chain}")
}

impl Active {
    /// Ready when somebody else has the lease.
    pub async fn lost(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            // One that has panicked keeps nothing.
            let _ = keeper.await;
            self.keeper = None;
        }
    }

    /// Gives the lease back, so that another need not wait for it to expire.
    pub async fn release(self) {
        let Self { cluster, keeper, stop } = self;
        let _ = stop.send(());
        let release = async {
            let Some(keeper) = keeper else { return };
            if let Ok(revision) = keeper.await {
                let lease = Lease { holder: None, name: cluster.name.clone() };
                let _ = cluster.store.set(LEASE, &lease, Some(revision)).await;
            }
        };
        let _ = tokio::time::timeout(BEAT, release).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Nobody listens there any more.
    fn absent() -> BusConfig {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
        let url = format!("nats://{}", listener.local_addr().expect("it has an address"));
        BusConfig { url, credentials: None, cluster: "farm".to_owned(), replicas: 1 }
    }

    #[tokio::test]
    async fn a_bus_that_is_not_there_is_told_once_and_waited_for() {
        let (config, told) = (absent(), AtomicUsize::new(0));
        let join = Cluster::join(&config, "one".to_owned(), |_| {
            told.fetch_add(1, Ordering::Relaxed);
        });
        // Two tries, each with its answer and its pause.
        let waited = 2 * (Duration::from_secs(2) + BEAT) + BEAT;
        assert!(tokio::time::timeout(waited, join).await.is_err(), "it is still waited for");
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
