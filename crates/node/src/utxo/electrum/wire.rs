//! Lines to and from one client, with the time that they may take: a client that says nothing for long, does not end what it
//! began, or does not take its answers is dropped. What is in the lines is nothing to this.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::codec::{Framed, LinesCodec};

use super::session::Dropped;

/// Bytes of a request at the most: the largest transaction that is relayed, in hex, and room for a batch.
const LINE_BYTES_MAX: usize = 2 << 20;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To say anything.
    silence: Duration,
    /// To end a line that it began, once it was found to have begun; it is looked at as often.
    line: Duration,
    /// To take an answer.
    write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [silence, line, write] = [600, 30, 20].map(Duration::from_secs);
        Self { silence, line, write }
    }
}

/// A client's lines.
pub(super) struct Wire<S> {
    lines: Framed<S, LinesCodec>,
    patience: Patience,
    /// When the last line ended.
    heard: Instant,
    /// When it is looked whether a line has begun, and whether one had at the last look.
    look: Instant,
    begun: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, patience: Patience) -> Self {
        let (lines, now) =
            (Framed::new(stream, LinesCodec::new_with_max_length(LINE_BYTES_MAX)), Instant::now());
        Self { lines, patience, heard: now, look: now + patience.line, begun: false }
    }

    /// The next line; `None` if the client goes. May be dropped at any time, and the client's time goes on.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Dropped> {
        loop {
            tokio::select! {
                line = self.lines.next() => {
                    (self.heard, self.begun) = (Instant::now(), false);
                    return Ok(line.transpose()?);
                }
                () = sleep_until(self.look.min(self.heard + self.patience.silence)) => self.look()?,
            }
        }
    }

    /// # Errors
    /// The client took too long.
    fn look(&mut self) -> Result<(), Dropped> {
        let (now, waits) = (Instant::now(), !self.lines.read_buffer().is_empty());
        if now >= self.heard + self.patience.silence {
            return Err(Dropped::Silent);
        }
        if waits && self.begun {
            return Err(Dropped::Unended);
        }
        (self.look, self.begun) = (now + self.patience.line, waits);
        Ok(())
    }

    pub(super) async fn send(&mut self, text: String) -> Result<(), Dropped> {
        let sent = timeout(self.patience.write, self.lines.send(text)).await;
        Ok(sent.map_err(|_| Dropped::Slow)??)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, DuplexStream};

    use super::*;

    const SHORT: Patience = Patience {
        silence: Duration::from_millis(600),
        line: Duration::from_millis(150),
        write: Duration::from_millis(150),
    };
    const LONG: Duration = Duration::from_secs(20);

    /// Why a client is dropped, to whom news is told all the time: as in a session, each cuts the wait for a line short.
    async fn dropped(mut wire: Wire<DuplexStream>) -> Dropped {
        let wait = async {
            loop {
                if let Ok(line) = timeout(SHORT.line / 10, wire.next()).await {
                    match line {
                        Ok(line) => assert!(line.is_some(), "the client is still there"),
                        Err(why) => return why,
                    }
                }
            }
        };
        timeout(LONG, wait).await.expect("the client is dropped")
    }

    #[tokio::test]
    async fn a_line_that_trickles_is_cut_off_whatever_news_there_is() {
        let (mut client, server) = tokio::io::duplex(64);
        let trickle = async {
            client.write_all(b"{}\n").await.unwrap();
            while client.write_all(b"{").await.is_ok() {
                tokio::time::sleep(SHORT.line / 20).await;
            }
        };
        let (why, ()) = tokio::join!(dropped(Wire::new(server, SHORT)), trickle);
        assert!(matches!(why, Dropped::Unended), "{why}");
    }

    #[tokio::test]
    async fn who_says_nothing_is_cut_off_whatever_news_there_is() {
        let (_client, server) = tokio::io::duplex(64);
        let why = dropped(Wire::new(server, SHORT)).await;
        assert!(matches!(why, Dropped::Silent), "{why}");
    }

    #[tokio::test]
    async fn who_says_something_now_and_then_stays_and_who_takes_nothing_does_not() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut wire = Wire::new(server, SHORT);
        for _ in 0..8 {
            tokio::time::sleep(SHORT.silence / 4).await;
            client.write_all(b"a line\n").await.unwrap();
            assert_eq!(wire.next().await.unwrap().as_deref(), Some("a line"));
        }
        let why = timeout(LONG, wire.send("x".repeat(1000))).await.expect("it is dropped").unwrap_err();
        assert!(matches!(why, Dropped::Slow), "{why}");
    }
}
