//! Puts messages on a stream: one message per direction, ended by the end of the stream, so
//! that no length has to be believed. Reading stops at the bound, and for questions, which are short, when their time is over.

use std::{io, marker::PhantomData, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use mass_primitives::{Decode, Encode};

use crate::wire::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, Request, Response};

/// What goes over a stream by itself.
pub trait Message: Encode + Decode + Send + Sync + 'static {
    /// Length of an encoding at the most.
    const BYTES_MAX: usize;
}

impl Message for Request {
    const BYTES_MAX: usize = REQUEST_BYTES_MAX;
}

impl Message for Response {
    const BYTES_MAX: usize = RESPONSE_BYTES_MAX;
}

/// A question as it came. One that could not be read is told too: libp2p passes over failures before a question is whole,
/// and its sender would go unnoticed.
#[derive(Debug)]
pub enum Asked<Q> {
    Question(Q),
    /// No message of the protocol, or too long.
    Malformed,
    /// Not whole in time.
    Late,
}

/// Reads and writes questions `Q` and their answers `A`.
#[derive(Debug)]
pub struct Codec<Q, A> {
    /// How long a question may take to come.
    patience: Duration,
    kinds: PhantomData<fn() -> (Q, A)>,
}

impl<Q, A> Codec<Q, A> {
    pub const fn new(patience: Duration) -> Self {
        Self { patience, kinds: PhantomData }
    }
}

impl<Q, A> Clone for Codec<Q, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q, A> Copy for Codec<Q, A> {}

async fn read_message<T, M>(io: &mut T) -> io::Result<M>
where
    T: AsyncRead + Unpin + Send,
    M: Message,
{
    let bound = M::BYTES_MAX;
    let limit = u64::try_from(bound).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    io.take(limit).read_to_end(&mut bytes).await?;
    if bytes.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if bytes.len() > bound {
        return Err(invalid(&format!("longer than {bound} bytes")));
    }
    M::from_bytes(&bytes).map_err(|error| invalid(&error))
}

fn invalid(cause: &impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause.to_string())
}

impl<Q: Message, A: Message> request_response::Codec for Codec<Q, A> {
    type Protocol = StreamProtocol;
    type Request = Asked<Q>;
    type Response = A;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Asked<Q>>
    where
        T: AsyncRead + Unpin + Send,
    {
        match tokio::time::timeout(self.patience, read_message(io)).await {
            Ok(Ok(question)) => Ok(Asked::Question(question)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Ok(Asked::Malformed),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(Asked::Late),
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<A>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_message(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, asked: Asked<Q>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match asked {
            Asked::Question(question) => io.write_all(&question.to_bytes()).await,
            Asked::Malformed | Asked::Late => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, answer: A) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&answer.to_bytes()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: Vec<u8>) -> io::Result<Response> {
        read_message(&mut futures::io::Cursor::new(bytes)).await
    }

    #[tokio::test]
    async fn reading_ends_at_the_bound_and_refuses_what_is_no_message() {
        let kind = |result: io::Result<Response>| result.map_err(|error| error.kind()).err();
        assert_eq!(kind(read(vec![2; RESPONSE_BYTES_MAX + 1]).await), Some(io::ErrorKind::InvalidData));
        assert_eq!(kind(read(vec![9; 40]).await), Some(io::ErrorKind::InvalidData));
        assert_eq!(kind(read(Vec::new()).await), Some(io::ErrorKind::UnexpectedEof));
        let response = Response::Blocks(vec![None, Some(vec![1, 2, 3])]);
        assert_eq!(read(response.to_bytes()).await.ok(), Some(response));
    }
}
