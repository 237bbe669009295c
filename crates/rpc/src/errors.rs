//! Refusals with the codes of Bitcoin Core.

use jsonrpsee::types::ErrorObjectOwned;

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $code:literal, $make:ident;)+) => {$(
        $(#[$doc])+
        pub const $name: i32 = $code;

        #[doc = concat!("An error with the code [`", stringify!($name), "`].")]
        pub fn $make(message: impl Into<String>) -> ErrorObjectOwned {
            ErrorObjectOwned::owned($name, message, None::<()>)
        }
    )+};
}

codes! {
    /// Something else went wrong, or the method was called in a way that it does not have.
    MISC = -1, misc;
    /// A parameter is of another type.
    TYPE = -3, type_mismatch;
    /// No such block, transaction, address or key.
    NOT_FOUND = -5, not_found;
    /// A parameter is out of range.
    INVALID_PARAMETER = -8, invalid_parameter;
    /// Bytes or hex that do not decode.
    DECODE = -22, decode;
    /// The peer is added already.
    NODE_ADDED = -23, node_added;
    /// The peer was not added.
    NODE_NOT_ADDED = -24, node_not_added;
    /// A block or transaction fails for what it refers to.
    VERIFY = -25, verify;
    /// A block or transaction breaks a rule.
    REJECTED = -26, rejected;
    /// The transaction is in a block already.
    IN_CHAIN = -27, in_chain;
    /// The node is still starting.
    WARMING_UP = -28, warming_up;
    /// The peer is not connected.
    NOT_CONNECTED = -29, not_connected;
    /// The request is none.
    INVALID_REQUEST = -32600, invalid_request;
    /// There is no such method.
    NO_METHOD = -32601, no_method;
    /// Parameters that exclude each other.
    INVALID_PARAMS = -32602, invalid_params;
    /// The request is no JSON.
    PARSE = -32700, parse;
}
