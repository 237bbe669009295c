//! Puts the sync messages on a stream: one message per direction, ended by the end of the stream, so
//! that no length has to be believed. Reading stops at the bound.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use mass_primitives::{Decode, Encode};

use crate::wire::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, Request, Response};

/// Reads and writes sync messages.
#[derive(Clone, Debug, Default)]
pub struct SyncCodec;

async fn read_message<T, M>(io: &mut T, bound: usize) -> io::Result<M>
where
    T: AsyncRead + Unpin + Send,
    M: Decode,
{
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

impl request_response::Codec for SyncCodec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_message(io, REQUEST_BYTES_MAX).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_message(io, RESPONSE_BYTES_MAX).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&request.to_bytes()).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&response.to_bytes()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: Vec<u8>) -> io::Result<Response> {
        read_message(&mut futures::io::Cursor::new(bytes), RESPONSE_BYTES_MAX).await
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
