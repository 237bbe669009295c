//! Events on their way to the receiver. A network pushes without waiting, and pauses
//! its peers while the outbox is full.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::handle::Event;

/// Events that wait before the outbox is full.
const LEN: usize = 64;
/// Bytes in waiting events before the outbox is full.
const BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Event>,
    bytes: usize,
    sender: mpsc::Sender<Event>,
}

/// The receiver is gone.
#[derive(Debug)]
pub(crate) struct Closed;

impl Outbox {
    pub const fn new(sender: mpsc::Sender<Event>) -> Self {
        Self { queue: VecDeque::new(), bytes: 0, sender }
    }

    pub fn push(&mut self, event: Event) {
        self.bytes += weight(&event);
        self.queue.push_back(event);
    }

    pub fn is_full(&self) -> bool {
        self.queue.len() >= LEN || self.bytes >= BYTES
    }

    /// Sends one event as soon as there is room; waits for ever without one. May be dropped at any time.
    pub async fn flush(&mut self) -> Result<(), Closed> {
        if self.queue.is_empty() {
            self.sender.closed().await;
            return Err(Closed);
        }
        let permit = self.sender.reserve().await.map_err(|_| Closed)?;
        if let Some(event) = self.queue.pop_front() {
            self.bytes -= weight(&event);
            permit.send(event);
        }
        Ok(())
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::Gossip { bytes, .. } => bytes.len(),
        Event::Response { response, .. } => response.encoded_len(),
        _ => 0,
    }
}
