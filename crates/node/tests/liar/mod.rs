//! A dishonest peer for tests: it speaks the real protocol over real sockets and says what a test wants.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mass_network::{
    Command, Config, Event, Multiaddr, PeerId, RequestFailure, Topic, peer_id, swarm,
    wire::{Request, Response},
};
use mass_primitives::{ChainId, ChainWeight, Height};
use tokio::{sync::mpsc, time::timeout};

/// How long is waited for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a liar says when it is asked; `None` for nothing at all.
pub type Lie = Box<dyn FnMut(&Request) -> Option<Response> + Send>;

/// A dishonest peer.
pub struct Liar {
    pub peer: PeerId,
    commands: mpsc::Sender<Command>,
    news: mpsc::UnboundedReceiver<News>,
    met: bool,
    asked: Arc<AtomicUsize>,
    next: u64,
}

/// What happened to a liar.
#[derive(Debug)]
pub enum News {
    Met,
    Left,
    Refused,
    Answer(u64, Result<Response, RequestFailure>),
}

/// Says that nothing is known, and knows nothing.
pub fn silent() -> Lie {
    Box::new(|request| {
        Some(match request {
            Request::Status => status(mass_primitives::BlockId::ZERO),
            Request::Headers { .. } => Response::Headers(vec![]),
            Request::Blocks { ids } => Response::Blocks(vec![None; ids.len()]),
            _ => return None,
        })
    })
}

pub fn status(tip: mass_primitives::BlockId) -> Response {
    Response::Status {
        tip,
        height: Height::new(9),
        weight: ChainWeight::new(u128::MAX),
        time: 0,
        blocks_from: Height::ZERO,
    }
}

impl Liar {
    /// One that dials a node and answers with lies; it listens nowhere, and comes back when it is sent away.
    pub fn new(chain_id: ChainId, seed: [u8; 32], node: Vec<Multiaddr>, mut lie: Lie) -> Self {
        let config = Config {
            chain_id,
            listen: vec![],
            seed,
            peers: node,
            max_connections: 8,
            memory: None,
            proxy: None,
            discovery: None,
        };
        let (commands, mut events) = swarm::spawn(config).unwrap();
        let (sender, news) = mpsc::unbounded_channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let (answers, counter) = (commands.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let news = match event {
                    Event::PeerConnected(_) => News::Met,
                    Event::PeerDisconnected(_) => News::Left,
                    Event::PeerRefused(_) => News::Refused,
                    Event::Response { id, response, .. } => News::Answer(id, Ok(response)),
                    Event::RequestFailed { id, reason, .. } => News::Answer(id, Err(reason)),
                    Event::Request { request, token, .. } => {
                        counter.fetch_add(1, Ordering::Relaxed);
                        if let Some(response) = lie(&request) {
                            let _ = answers.send(Command::Respond { token, response }).await;
                        }
                        continue;
                    }
                    _ => continue,
                };
                if sender.send(news).is_err() {
                    return;
                }
            }
        });
        Self { peer: peer_id(seed), commands, news, met: false, asked, next: 0 }
    }

    /// [`Liar::new`], once it is let in.
    pub async fn meets(chain_id: ChainId, seed: u8, node: Vec<Multiaddr>, lie: Lie) -> Self {
        let mut liar = Self::new(chain_id, [seed; 32], node, lie);
        liar.until(|news| matches!(news, News::Met).then_some(())).await;
        liar
    }

    /// Whether the node has let it in and not sent it away since. What happened before is passed over.
    pub fn is_in(&mut self) -> bool {
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Met => self.met = true,
                News::Left => self.met = false,
                _ => {}
            }
        }
        self.met
    }

    pub async fn until<T>(&mut self, mut pick: impl FnMut(News) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = pick(self.news.recv().await.expect("the liar lives")) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the news comes in time")
    }

    pub async fn is_sent_away(&mut self) {
        self.until(|news| matches!(news, News::Left).then_some(())).await;
    }

    pub async fn tells(&self, topic: Topic, bytes: Vec<u8>) {
        self.commands.send(Command::Publish { topic, bytes }).await.expect("the liar lives");
    }

    /// Asks without waiting; the number of the request.
    pub async fn asks(&mut self, peer: PeerId, request: Request) -> u64 {
        self.next += 1;
        let command = Command::Request { peer, request, id: self.next };
        self.commands.send(command).await.expect("the liar lives");
        self.next
    }

    /// Asks and waits.
    pub async fn answer(&mut self, peer: PeerId, request: Request) -> Result<Response, RequestFailure> {
        let own = self.asks(peer, request).await;
        self.until(|news| match news {
            News::Answer(id, answer) if id == own => Some(answer),
            _ => None,
        })
        .await
    }

    /// How often it was asked anything.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}
