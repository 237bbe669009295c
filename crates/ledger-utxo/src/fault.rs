//! Why an input does not satisfy the coin that it spends, in Bitcoin Core's words (`script_error.cpp`).

/// Why an input may not spend its coin. The text is what Bitcoin Core says, where it has a word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ScriptFault {
    /// The script ends without a true value.
    #[error("Script evaluated without error but finished with a false/empty top stack element")]
    EvalFalse,
    /// The public key is not that of the coin.
    #[error("Script failed an OP_EQUALVERIFY operation")]
    KeyHash,
    /// The public key is not compressed.
    #[error("Using non-compressed keys in segwit")]
    KeyUncompressed,
    /// The ECDSA signature is not in its one encoding.
    #[error("Non-canonical DER signature")]
    SignatureEncoding,
    /// The sighash type has no name.
    #[error("Signature hash type missing or not understood")]
    SighashType,
    /// The signature has a twin with a lower S.
    #[error("Non-canonical signature: S value is unnecessarily high")]
    HighS,
    /// The ECDSA signature is wrong.
    #[error("Signature must be zero for failed CHECK(MULTI)SIG operation")]
    Signature,
    /// The Schnorr signature has neither 64 nor 65 bytes.
    #[error("Invalid Schnorr signature size")]
    SchnorrSize,
    /// The Schnorr signature has a sighash type that is none.
    #[error("Invalid Schnorr signature hash type")]
    SchnorrSighashType,
    /// The Schnorr signature is wrong.
    #[error("Invalid Schnorr signature")]
    Schnorr,
    /// The input has a signature script.
    #[error("Witness requires empty scriptSig")]
    SignatureScript,
    /// The witness is empty.
    #[error("Witness program was passed an empty witness")]
    WitnessEmpty,
    /// The witness is not what the coin's program commits to.
    #[error("Witness program hash mismatch")]
    ProgramMismatch,
    /// The control block has a length that is none.
    #[error("Invalid Taproot control block size")]
    ControlSize,
    /// An anchor is spent with a witness, which anybody could change.
    #[error("Anchor output spent with a witness")]
    AnchorWitness,
    /// The script fails. The interpreter does not say where.
    #[error("Script failed")]
    Script,
}
