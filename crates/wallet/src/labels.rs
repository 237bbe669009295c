//! Labels of transactions, addresses, coins and more, as BIP-329 has them: a JSON object to a line.
//!
//! They come from the owner and cannot be made anew, so they have a file of their own, `labels`, which appears
//! complete or not at all; with a passphrase it is sealed under the wallet's key. What an import says of a kind that
//! the wallet does not use itself is kept and exported again.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use bitcoin::{OutPoint, Txid};
use serde::{Deserialize, Serialize};

use crate::{error::WalletError, state::write_whole, vault::Key, wallet::Wallet};

const HEAD_SEALED: &[u8] = b"mass-wallet labels sealed\n";
/// Bytes of a label at the most, as BIP-329 recommends for display.
const LABEL_CHARS_MAX: usize = 255;
/// Labels of a wallet, and bytes of their file, at the most.
const LABELS_MAX: usize = 100_000;
const FILE_BYTES_MAX: usize = 64 << 20;

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// What is labelled: `tx`, `addr`, `pubkey`, `input`, `output` or `xpub`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which one: an id, an address, a key, or `TXID:N`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Of a transaction: the account that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Of a coin: false if it is frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spendable: Option<bool>,
}

impl Label {
    fn check(&self) -> Result<(), String> {
        if !["tx", "addr", "pubkey", "input", "output", "xpub"].contains(&self.kind.as_str()) {
            return Err(format!("type {:?} is none", self.kind));
        }
        let is_good = match self.kind.as_str() {
            "tx" => self.reference.parse::<Txid>().is_ok(),
            "input" | "output" => self.reference.parse::<OutPoint>().is_ok(),
            _ => !self.reference.is_empty() && self.reference.len() <= 256,
        };
        if !is_good {
            return Err(format!("ref {:?} is no {}", self.reference, self.kind));
        }
        match &self.label {
            Some(text) if text.chars().count() > LABEL_CHARS_MAX => {
                Err(format!("a label has {LABEL_CHARS_MAX} characters at the most"))
            }
            _ => Ok(()),
        }
    }
}

/// All labels of a wallet, by type and reference.
pub(crate) struct Labels {
    path: PathBuf,
    key: Option<Key>,
    all: BTreeMap<(String, String), Label>,
}

impl Labels {
    pub(crate) fn open(dir: &Path, key: Option<Key>) -> Result<Self, WalletError> {
        let path = dir.join("labels");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            other => other.map_err(|error| WalletError::File(path.clone(), error))?,
        };
        let damaged = || WalletError::LabelsFile(path.clone());
        // A passphrase that came or went while the program was killed leaves the file as it was.
        let text = match bytes.strip_prefix(HEAD_SEALED) {
            None => bytes,
            Some(sealed) => {
                key.as_ref().and_then(|key| key.open(sealed, HEAD_SEALED)).ok_or_else(damaged)?.to_vec()
            }
        };
        let text = String::from_utf8(text).map_err(|_| damaged())?;
        let all =
            parse(&text)?.into_iter().map(|label| ((label.kind.clone(), label.reference.clone()), label));
        Ok(Self { all: all.collect(), path, key })
    }

    pub(crate) fn rekey(&mut self, key: Option<Key>) -> Result<(), WalletError> {
        self.key = key;
        if self.all.is_empty() && !self.path.exists() { Ok(()) } else { self.write() }
    }

    pub(crate) fn text(&self, kind: &str, reference: &str) -> Option<&str> {
        self.all.get(&(kind.to_owned(), reference.to_owned()))?.label.as_deref()
    }

    fn set(&mut self, labels: Vec<Label>) -> Result<(), WalletError> {
        for label in labels {
            let key = (label.kind.clone(), label.reference.clone());
            if label.label.is_none() && label.origin.is_none() && label.spendable.is_none() {
                self.all.remove(&key);
            } else {
                self.all.insert(key, label);
            }
        }
        if self.all.len() > LABELS_MAX {
            let reason = format!("a wallet has {LABELS_MAX} labels at the most");
            return Err(WalletError::Label { line: LABELS_MAX, reason });
        }
        self.write()
    }

    fn write(&self) -> Result<(), WalletError> {
        let text: String = self.all.values().map(line).collect();
        let bytes = match &self.key {
            None => text.into_bytes(),
            Some(key) => [HEAD_SEALED, &key.seal(text.as_bytes(), HEAD_SEALED)?].concat(),
        };
        write_whole(&self.path, &bytes).map_err(|error| WalletError::File(self.path.clone(), error))
    }
}

fn line(label: &Label) -> String {
    format!("{}\n", serde_json::to_string(label).expect("a label is texts"))
}

/// Reads labels, a line each. Empty lines do not count.
///
/// # Errors
/// [`WalletError::Label`] with the first line that is none.
pub fn parse(text: &str) -> Result<Vec<Label>, WalletError> {
    if text.len() > FILE_BYTES_MAX {
        let reason = format!("the file has {} bytes, {FILE_BYTES_MAX} are the most", text.len());
        return Err(WalletError::Label { line: 0, reason });
    }
    let mut labels = Vec::new();
    for (number, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let wrong = |reason: String| WalletError::Label { line: number, reason };
        let label: Label = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        label.check().map_err(wrong)?;
        labels.push(label);
    }
    Ok(labels)
}

impl Wallet {
    /// Sets a label, or with an empty text takes it away.
    ///
    /// # Errors
    /// [`WalletError::Label`] if the type or the reference is none, or the file cannot be written.
    pub fn set_label(&mut self, kind: &str, reference: &str, text: &str) -> Result<(), WalletError> {
        let old = self.labels.all.get(&(kind.to_owned(), reference.to_owned())).cloned();
        let mut label = old.unwrap_or_else(|| Label {
            kind: kind.to_owned(),
            reference: reference.to_owned(),
            label: None,
            origin: None,
            spendable: None,
        });
        label.label = (!text.is_empty()).then(|| text.to_owned());
        label.check().map_err(|reason| WalletError::Label { line: 1, reason })?;
        self.labels.set(vec![label])
    }

    /// The label of a transaction (`tx`), an address (`addr`) or a coin (`output`).
    #[must_use]
    pub fn label(&self, kind: &str, reference: &str) -> Option<&str> {
        self.labels.text(kind, reference)
    }

    /// All labels and frozen coins, a line each, as other wallets import them.
    #[must_use]
    pub fn export_labels(&self) -> String {
        let mut all = self.labels.all.clone();
        for coin in self.bdk.list_locked_outpoints() {
            let key = ("output".to_owned(), coin.to_string());
            let label = all.entry(key).or_insert_with(|| Label {
                kind: "output".to_owned(),
                reference: coin.to_string(),
                label: None,
                origin: None,
                spendable: None,
            });
            label.spendable = Some(false);
        }
        all.values().map(line).collect()
    }

    /// Takes labels over those that are there; coins that are not to be spent are frozen. How many there were.
    ///
    /// # Errors
    /// [`WalletError::Label`] with the first line that is none, and then nothing is taken; or the file cannot be
    /// written.
    pub fn import_labels(&mut self, text: &str) -> Result<usize, WalletError> {
        let labels = parse(text)?;
        let count = labels.len();
        for label in labels.iter().filter(|label| label.kind == "output") {
            let Ok(coin) = label.reference.parse::<OutPoint>() else { continue };
            match label.spendable {
                Some(true) => self.bdk.unlock_outpoint(coin),
                Some(false) => self.bdk.lock_outpoint(coin),
                None => {}
            }
        }
        self.labels.set(labels)?;
        self.persist()?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of BIP-329.
    const EXAMPLES: &str = r#"{ "type": "tx", "ref": "f91d0a8a78462bc59398f2c5d7a84fcff491c26ba54c4833478b202796c8aafd", "label": "Transaction", "origin": "wpkh([d34db33f/84'/0'/0'])" }
{ "type": "addr", "ref": "bc1q34aq5drpuwy3wgl9lhup9892qp6svr8ldzyy7c", "label": "Address" }
{ "type": "pubkey", "ref": "0283409659355b6d1cc3c32decd5d561abaac86c37a353b52895a5e6c196d6f448", "label": "Public Key" }
{ "type": "input", "ref": "f91d0a8a78462bc59398f2c5d7a84fcff491c26ba54c4833478b202796c8aafd:0", "label": "Input" }
{ "type": "output", "ref": "f91d0a8a78462bc59398f2c5d7a84fcff491c26ba54c4833478b202796c8aafd:1", "label": "Output" , "spendable" : false }
{ "type": "xpub", "ref": "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8", "label": "Extended Public Key" }
{ "type": "tx", "ref": "f546156d9044844e02b181026a1a407abfca62e7ea1159f87bbeaa77b4286c74", "label": "Account #1 Transaction", "origin": "wpkh([d34db33f/84'/0'/1'])" }"#;

    #[test]
    fn the_examples_are_read_and_written() {
        let labels = parse(EXAMPLES).unwrap();
        assert_eq!(labels.len(), 7);
        assert_eq!(labels[4].spendable, Some(false));
        let text: String = labels.iter().map(line).collect();
        assert_eq!(parse(&text).unwrap(), labels);
    }

    #[test]
    fn lines_that_are_none_are_named() {
        for (text, reason) in [
            ("{}", "missing field"),
            ("\n{\"type\":\"tx\",\"ref\":\"00\",\"label\":\"x\"}", "line 2"),
            ("{\"type\":\"coin\",\"ref\":\"00\"}", "is none"),
            ("{\"type\":\"output\",\"ref\":\"00:1\"}", "is no output"),
            ("{\"type\":\"addr\",\"ref\":\"\"}", "is no addr"),
            ("labels", "line 1"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
