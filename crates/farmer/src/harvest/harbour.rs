//! Where harvesters come to: the listener, the codes that are out, and the keys that are known.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mass_primitives::FarmerPublicKey;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};

use super::{
    HarvestError, StoreError,
    link::{self, Landed, News},
    message::ToHarvester,
    secure::{self, Code, NoiseKey, Pipe, Visitor},
    store::{Harvesters, Known},
};

/// Connections at one time at the most.
const CONNECTIONS_MAX: usize = 256;

/// Where harvesters may come to.
#[derive(Clone, Debug)]
pub struct HarbourConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The file of the farmer's key for harvesters, and of theirs.
    pub store: PathBuf,
}

/// The place.
pub(crate) struct Harbour {
    address: SocketAddr,
    farmer: FarmerPublicKey,
    store: Mutex<Harvesters>,
    code: Mutex<Option<(Code, Instant)>>,
    connections: AtomicU64,
    tell: Box<dyn Fn(Landed) + Send + Sync>,
}

/// A lock whose owner panicked holds no half-done work: each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts to listen. `report` makes of news what the loop takes.
pub(crate) async fn listen<R: Send + 'static>(
    config: &HarbourConfig,
    farmer: FarmerPublicKey,
    reports: mpsc::UnboundedSender<R>,
    report: fn(Landed) -> R,
) -> Result<Arc<Harbour>, HarvestError> {
    let store = Mutex::new(Harvesters::open(&config.store)?);
    let refused = |error| HarvestError::Listen { addr: config.listen, error };
    let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let (code, connections) = (Mutex::new(None), AtomicU64::new(0));
    let to_loop = reports.clone();
    let tell = Box::new(move |landed| drop(to_loop.send(report(landed))));
    let harbour = Arc::new(Harbour { address, farmer, store, code, connections, tell });
    tokio::spawn(take_in(Arc::clone(&harbour), listener, reports));
    Ok(harbour)
}

/// Takes in who comes, until nobody wants to hear of it.
async fn take_in<R: Send + 'static>(
    harbour: Arc<Harbour>,
    listener: TcpListener,
    reports: mpsc::UnboundedSender<R>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            () = reports.closed() => return,
        };
        let harbour = Arc::clone(&harbour);
        match stream {
            Ok((stream, _)) => drop(tokio::spawn(async move {
                harbour.receive(stream).await;
                drop(place);
            })),
            // Too many open files, or the like: it passes.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

impl Harbour {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The names of the harvesters that are known.
    pub fn names(&self) -> Vec<String> {
        lock(&self.store).all().iter().map(|Known { name, .. }| name.clone()).collect()
    }

    /// A new code, which pairs one harvester within this time. The one before is void.
    pub fn new_code(&self, valid: Duration) -> String {
        let code = Code::generate();
        let text = code.text();
        *lock(&self.code) = Some((code, Instant::now() + valid));
        text
    }

    /// Forgets a harvester, and hangs up on it.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        lock(&self.store).remove(name)?;
        (self.tell)(Landed { connection: 0, name: name.to_owned(), news: News::Removed });
        Ok(())
    }

    fn code(&self) -> Option<Code> {
        lock(&self.code).as_ref().filter(|(_, until)| Instant::now() < *until).map(|(code, _)| code.clone())
    }

    async fn receive(&self, stream: TcpStream) {
        let secret = lock(&self.store).secret().clone();
        let _ = stream.set_nodelay(true);
        let name = |key: &NoiseKey| lock(&self.store).name_of(key);
        // Who cannot come in is told by the end of the connection, and nobody else need be.
        match secure::accept(stream, &secret, || self.code(), name).await {
            Ok(Visitor::Pairs(key, pipe)) => self.pair(key, pipe).await,
            Ok(Visitor::Joins(name, pipe)) => {
                let connection = self.connections.fetch_add(1, Ordering::Relaxed);
                let report = |news| (self.tell)(Landed { connection, name: name.clone(), news });
                let reason = link::serve(pipe, name.clone(), self.farmer, &report).await;
                report(News::Left(reason));
            }
            Err(_) => {}
        }
    }

    /// Takes a harvester in by its code, which is used up then.
    async fn pair(&self, key: NoiseKey, mut pipe: Pipe) {
        let Ok(hello) = link::hello(&mut pipe).await else { return };
        // Two may hold the code at the same time; the first has it.
        if lock(&self.code).take().is_none() {
            return;
        }
        match lock(&self.store).add(&hello.name, key) {
            Ok(()) => drop(link::welcome(&pipe, &hello, self.farmer)),
            Err(error) => link::send(&pipe, &ToHarvester::Refused { reason: error.to_string() }),
        }
        // The other side hangs up when it has heard.
        let _ = tokio::time::timeout(Duration::from_secs(10), pipe.rx.recv()).await;
    }
}
