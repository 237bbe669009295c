//! The secure channel: Noise over TCP, in frames of two bytes of length, little-endian as all here.
//!
//! The first frame says what the initiator wants and is the prologue of the handshake. A message is cut into
//! pieces; the first byte of each says whether more follow.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use futures::{SinkExt, StreamExt as _};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use snow::{Builder, HandshakeState, TransportState};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_util::{
    bytes::Bytes,
    codec::{Framed, LengthDelimitedCodec},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::message::MESSAGE_BYTES_MAX;

/// Harvester and farmer know each other's keys by the code, and then for good.
const PAIR: &str = "Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s";
/// The harvester knows the farmer's key, and the farmer the harvester's.
const JOIN: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
const WANT_PAIR: &[u8] = b"mass harvester 1 pair";
const WANT_JOIN: &[u8] = b"mass harvester 1 join";

const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;
const FRAME_MAX: usize = u16::MAX as usize;
const PIECE_MAX: usize = FRAME_MAX - TAG_LEN - 1;
/// How long a handshake, and the sending of a message, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Messages that wait to be taken.
const QUEUE: usize = 16;

/// Why there is no secure channel.
#[derive(Debug, thiserror::Error)]
pub enum SecureError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// The other side ended the connection.
    #[error("the other side has hung up: it does not know this key or code, or the code is used up")]
    HungUp,
    /// The other side does not hold the key or code that it should, or is something else.
    #[error("the other side is not who it should be: {0}")]
    Noise(#[from] snow::Error),
    /// The other side is too slow.
    #[error("the other side does not answer")]
    Late,
    /// The text is no code.
    #[error("this is no pairing code: 26 letters and digits")]
    Code,
}

/// A static key of the channel. It has nothing to do with a farmer key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NoiseKey(#[serde(with = "hex::serde")] [u8; KEY_LEN]);

/// The secret of a static key.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NoiseSecret(#[serde(with = "hex::serde")] [u8; KEY_LEN]);

impl NoiseSecret {
    pub fn generate() -> Self {
        let mut secret = [0; KEY_LEN];
        OsRng.fill_bytes(&mut secret);
        Self(secret)
    }
}

/// A pairing code: 128 random bits.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Code([u8; 16]);

impl Code {
    pub fn generate() -> Self {
        let mut code = [0; 16];
        OsRng.fill_bytes(&mut code);
        Self(code)
    }

    /// The code in groups of letters and digits.
    pub fn text(&self) -> String {
        let text = BASE32_NOPAD.encode(&self.0);
        text.as_bytes().chunks(5).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-")
    }

    /// Reads a code as a person types it.
    pub fn parse(text: &str) -> Result<Self, SecureError> {
        let text: Zeroizing<String> = Zeroizing::new(
            text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect(),
        );
        let bytes = BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| SecureError::Code)?;
        bytes.try_into().map(Self).map_err(|_| SecureError::Code)
    }

    /// As a pre-shared key, which need be no longer than it is hard to guess.
    fn psk(&self) -> Zeroizing<[u8; KEY_LEN]> {
        let mut psk = Zeroizing::new([0; KEY_LEN]);
        psk[..16].copy_from_slice(&self.0);
        psk
    }
}

/// Messages to and from the other side. Dropping it ends the connection.
pub(crate) struct Pipe {
    /// Unbounded, so that who sends never waits for who reads: that could wait for him in turn.
    pub tx: mpsc::UnboundedSender<Vec<u8>>,
    pub rx: mpsc::Receiver<Vec<u8>>,
}

/// The ends that a transport works on: what is to be sent, and where what has come goes.
pub(super) type Ends = (mpsc::UnboundedReceiver<Vec<u8>>, mpsc::Sender<Vec<u8>>);

impl Pipe {
    /// A pipe, and the ends for whoever moves the messages.
    pub fn new() -> (Self, Ends) {
        let ((tx, outbox), (inbox, rx)) = (mpsc::unbounded_channel(), mpsc::channel(QUEUE));
        (Self { tx, rx }, (outbox, inbox))
    }
}

type Wire = Framed<TcpStream, LengthDelimitedCodec>;

fn wire(stream: TcpStream) -> Wire {
    let codec = LengthDelimitedCodec::builder().little_endian().length_field_length(2).new_codec();
    Framed::new(stream, codec)
}

/// Pairs with a farmer by a code; its key, and the channel.
pub(crate) async fn pair(
    stream: TcpStream,
    secret: &NoiseSecret,
    code: &Code,
) -> Result<(NoiseKey, Pipe), SecureError> {
    let psk = code.psk();
    let builder = Builder::new(PAIR.parse()?).prologue(WANT_PAIR)?.local_private_key(&secret.0)?;
    let state = builder.psk(0, &psk)?.build_initiator()?;
    initiate(stream, WANT_PAIR, state).await
}

/// Joins a farmer whose key is known.
pub(crate) async fn join(
    stream: TcpStream,
    secret: &NoiseSecret,
    farmer: &NoiseKey,
) -> Result<Pipe, SecureError> {
    let builder = Builder::new(JOIN.parse()?).prologue(WANT_JOIN)?.local_private_key(&secret.0)?;
    let state = builder.remote_public_key(&farmer.0)?.build_initiator()?;
    Ok(initiate(stream, WANT_JOIN, state).await?.1)
}

async fn initiate(
    stream: TcpStream,
    want: &'static [u8],
    mut state: HandshakeState,
) -> Result<(NoiseKey, Pipe), SecureError> {
    let mut wire = wire(stream);
    in_time(async {
        wire.send(Bytes::from_static(want)).await?;
        shake(&mut wire, &mut state, true).await
    })
    .await?;
    open(wire, state)
}

/// Who has come.
pub(crate) enum Visitor {
    /// A harvester with the code.
    Pairs(NoiseKey, Pipe),
    /// A harvester whose key is known, by its name.
    Joins(String, Pipe),
}

/// Lets a harvester in: by the code, if one is out, or by its key, if that is known by a name.
pub(crate) async fn accept(
    stream: TcpStream,
    secret: &NoiseSecret,
    code: impl FnOnce() -> Option<Code>,
    name: impl FnOnce(&NoiseKey) -> Option<String>,
) -> Result<Visitor, SecureError> {
    let mut wire = wire(stream);
    let want = in_time(next(&mut wire)).await?;
    if want == WANT_PAIR {
        let code = code().ok_or(SecureError::HungUp)?;
        let psk = code.psk();
        let builder = Builder::new(PAIR.parse()?).prologue(WANT_PAIR)?.local_private_key(&secret.0)?;
        let mut state = builder.psk(0, &psk)?.build_responder()?;
        in_time(shake(&mut wire, &mut state, false)).await?;
        let (key, pipe) = open(wire, state)?;
        return Ok(Visitor::Pairs(key, pipe));
    }
    let builder = Builder::new(JOIN.parse()?).prologue(WANT_JOIN)?.local_private_key(&secret.0)?;
    let mut state = builder.build_responder()?;
    let first = in_time(next(&mut wire)).await?;
    state.read_message(&first, &mut [0; FRAME_MAX])?;
    let name = name(&remote(state.get_remote_static())?).ok_or(SecureError::HungUp)?;
    in_time(shake(&mut wire, &mut state, true)).await?;
    Ok(Visitor::Joins(name, open(wire, state)?.1))
}

async fn in_time<T>(step: impl Future<Output = Result<T, SecureError>>) -> Result<T, SecureError> {
    tokio::time::timeout(PATIENCE, step).await.map_err(|_| SecureError::Late)?
}

async fn next(wire: &mut Wire) -> Result<Vec<u8>, SecureError> {
    Ok(wire.next().await.ok_or(SecureError::HungUp)??.to_vec())
}

/// Exchanges the rest of the handshake.
async fn shake(wire: &mut Wire, state: &mut HandshakeState, starts: bool) -> Result<(), SecureError> {
    let (mut writes, mut buffer) = (starts, vec![0; FRAME_MAX]);
    while !state.is_handshake_finished() {
        if writes {
            let length = state.write_message(&[], &mut buffer)?;
            wire.send(Bytes::copy_from_slice(&buffer[..length])).await?;
        } else {
            state.read_message(&next(wire).await?, &mut buffer)?;
        }
        writes = !writes;
    }
    Ok(())
}

fn remote(key: Option<&[u8]>) -> Result<NoiseKey, SecureError> {
    let key = key.and_then(|key| key.try_into().ok());
    key.map(NoiseKey).ok_or(SecureError::Noise(snow::Error::Dh))
}

fn open(wire: Wire, state: HandshakeState) -> Result<(NoiseKey, Pipe), SecureError> {
    let key = remote(state.get_remote_static())?;
    let state = state.into_transport_mode()?;
    let (pipe, (outbox, inbox)) = Pipe::new();
    tokio::spawn(pump(wire, state, outbox, inbox));
    Ok((key, pipe))
}

/// Moves messages until ours is dropped, or the other side is gone or breaks the rules.
async fn pump(
    mut wire: Wire,
    mut state: TransportState,
    mut outbox: mpsc::UnboundedReceiver<Vec<u8>>,
    inbox: mpsc::Sender<Vec<u8>>,
) {
    let mut message = Vec::new();
    loop {
        tokio::select! {
            out = outbox.recv() => {
                let Some(out) = out else { break };
                if !matches!(tokio::time::timeout(PATIENCE, send(&mut wire, &mut state, &out)).await, Ok(Ok(()))) {
                    break;
                }
            }
            frame = wire.next() => {
                let Some(Ok(frame)) = frame else { break };
                match receive(&mut state, &frame, &mut message) {
                    Some(false) => {}
                    // Nobody listens any more; what he said last is still sent.
                    Some(true) => drop(inbox.send(std::mem::take(&mut message)).await),
                    None => break,
                }
            }
        }
    }
}

async fn send(wire: &mut Wire, state: &mut TransportState, message: &[u8]) -> Result<(), SecureError> {
    let mut pieces = message.chunks(PIECE_MAX).peekable();
    let mut plain = Vec::with_capacity(message.len().min(PIECE_MAX) + 1);
    while let Some(piece) = pieces.next() {
        plain.clear();
        plain.push(u8::from(pieces.peek().is_some()));
        plain.extend_from_slice(piece);
        let mut sealed = vec![0; plain.len() + TAG_LEN];
        let length = state.write_message(&plain, &mut sealed)?;
        sealed.truncate(length);
        wire.feed(Bytes::from(sealed)).await?;
    }
    Ok(SinkExt::<Bytes>::flush(wire).await?)
}

/// Adds a piece; whether the message is whole, or nothing if the piece is not good.
fn receive(state: &mut TransportState, frame: &[u8], message: &mut Vec<u8>) -> Option<bool> {
    let mut plain = vec![0; frame.len()];
    let length = state.read_message(frame, &mut plain).ok()?;
    let (more, piece) = plain.get(..length)?.split_first()?;
    if message.len() + piece.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    message.extend_from_slice(piece);
    Some(*more == 0)
}
