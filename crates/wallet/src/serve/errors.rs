//! Refusals with the codes of Bitcoin Core's wallet calls.

use mass_ledger_utxo::AddressError;
use mass_rpc::{ErrorObjectOwned, errors};

use crate::error::WalletError;

const TYPE: i32 = -3;
const WALLET: i32 = -4;
const INSUFFICIENT_FUNDS: i32 = -6;
const UNLOCK_NEEDED: i32 = -13;
const PASSPHRASE_INCORRECT: i32 = -14;
const WRONG_ENC_STATE: i32 = -15;
const WALLET_NOT_FOUND: i32 = -18;
const WALLET_NOT_SPECIFIED: i32 = -19;
const ALREADY_LOADED: i32 = -35;
const ALREADY_EXISTS: i32 = -36;

fn error(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}

pub(super) fn wrong_type(message: impl Into<String>) -> ErrorObjectOwned {
    error(TYPE, message)
}

pub(super) fn wallet(message: impl Into<String>) -> ErrorObjectOwned {
    error(WALLET, message)
}

pub(super) fn wrong_enc_state(message: impl Into<String>) -> ErrorObjectOwned {
    error(WRONG_ENC_STATE, message)
}

pub(super) fn no_wallet() -> ErrorObjectOwned {
    error(
        WALLET_NOT_FOUND,
        "No wallet is loaded. Load a wallet using loadwallet or create a new one with createwallet.",
    )
}

pub(super) fn not_loaded() -> ErrorObjectOwned {
    error(WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded")
}

pub(super) fn not_specified() -> ErrorObjectOwned {
    let message = "Multiple wallets are loaded. Please select which wallet to use by requesting the RPC through the \
                   /wallet/<walletname> URI path.";
    error(WALLET_NOT_SPECIFIED, message)
}

pub(super) fn already_loaded(name: &str) -> ErrorObjectOwned {
    error(ALREADY_LOADED, format!("Wallet \"{name}\" is already loaded."))
}

/// What goes wrong with a wallet, as Bitcoin Core would code it.
pub(super) fn of(problem: WalletError) -> ErrorObjectOwned {
    let text = problem.to_string();
    match problem {
        WalletError::Exists(_) => error(ALREADY_EXISTS, text),
        WalletError::Missing(_) => error(WALLET_NOT_FOUND, text),
        WalletError::PassphraseMissing(_) | WalletError::PassphraseWrong => error(PASSPHRASE_INCORRECT, text),
        WalletError::Locked => {
            error(UNLOCK_NEEDED, "Error: Please enter the wallet passphrase with walletpassphrase first.")
        }
        WalletError::Funds { .. } => error(INSUFFICIENT_FUNDS, text),
        WalletError::Address(AddressError::Prefix(_)) => errors::misc(text),
        WalletError::Address(_)
        | WalletError::ForeignAddress { .. }
        | WalletError::NoTransaction(_)
        | WalletError::Descriptor(_) => errors::not_found(text),
        WalletError::PsbtForm(_) => errors::decode(format!("TX decode failed {text}")),
        WalletError::Dust { .. }
        | WalletError::FeeRate { .. }
        | WalletError::CoinForm(_)
        | WalletError::NoCoin(_)
        | WalletError::Frozen(_)
        | WalletError::FeeTooLow(_)
        | WalletError::PassphraseForm { .. } => errors::invalid_parameter(text),
        WalletError::NodeRefuses { code, message, .. } => error(code, message),
        WalletError::NoNode(_) | WalletError::NodeAnswer { .. } => errors::misc(text),
        _ => error(WALLET, text),
    }
}
