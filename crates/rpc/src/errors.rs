//! Refusals with the codes of Bitcoin Core.

use jsonrpsee::types::ErrorObjectOwned;

/// Something else went wrong.
pub const MISC: i32 = -1;
/// No such block, transaction, address or key.
pub const NOT_FOUND: i32 = -5;
/// A parameter is out of range.
pub const INVALID_PARAMETER: i32 = -8;
/// Bytes or hex that do not decode.
pub const DECODE: i32 = -22;
/// A block or transaction fails for what it refers to.
pub const VERIFY: i32 = -25;
/// A block or transaction breaks a rule.
pub const REJECTED: i32 = -26;

/// Neither an address nor a peer, or none that is banned.
pub const INVALID_IP_OR_SUBNET: i32 = -30;

/// An error with a code of this file.
pub fn error(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}

/// An error with the code [`MISC`].
pub fn misc(message: impl Into<String>) -> ErrorObjectOwned {
    error(MISC, message)
}

/// An error with the code [`NOT_FOUND`].
pub fn not_found(message: impl Into<String>) -> ErrorObjectOwned {
    error(NOT_FOUND, message)
}

/// An error with the code [`INVALID_PARAMETER`].
pub fn invalid_parameter(message: impl Into<String>) -> ErrorObjectOwned {
    error(INVALID_PARAMETER, message)
}

/// An error with the code [`DECODE`].
pub fn decode(message: impl Into<String>) -> ErrorObjectOwned {
    error(DECODE, message)
}

/// An error with the code [`VERIFY`].
pub fn verify(message: impl Into<String>) -> ErrorObjectOwned {
    error(VERIFY, message)
}

/// An error with the code [`REJECTED`].
pub fn rejected(message: impl Into<String>) -> ErrorObjectOwned {
    error(REJECTED, message)
}
