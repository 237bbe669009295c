//! Events on their way to the receiver. A network pushes without waiting and asks how many wait.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::handle::Event;

#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Event>,
    sender: mpsc::Sender<Event>,
}

/// The receiver is gone.
#[derive(Debug)]
pub(crate) struct Closed;

impl Outbox {
    pub const fn new(sender: mpsc::Sender<Event>) -> Self {
        Self { queue: VecDeque::new(), sender }
    }

    pub fn push(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Sends one event as soon as there is room; waits for ever without one. May be dropped at any time.
    pub async fn flush(&mut self) -> Result<(), Closed> {
        if self.queue.is_empty() {
            self.sender.closed().await;
            return Err(Closed);
        }
        let permit = self.sender.reserve().await.map_err(|_| Closed)?;
        if let Some(event) = self.queue.pop_front() {
            permit.send(event);
        }
        Ok(())
    }
}
