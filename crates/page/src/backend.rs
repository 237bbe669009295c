//! Whom a call goes to: methods of this process, called without a socket, or the RPC of another.

use mass_rpc::{ClientError, ErrorObjectOwned, HttpClient, Methods, UriPath, errors};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

/// Bytes of an answer that is passed on at the most.
const ANSWER_BYTES_MAX: usize = mass_rpc::BODY_BYTES_MAX as usize;

/// Something that answers RPC.
#[derive(Clone)]
pub enum Backend {
    /// In this process.
    Here(Methods),
    /// In another, which listens on this machine.
    There(HttpClient),
}

/// A chain that the page shows.
#[derive(Clone)]
pub struct ChainSource {
    /// Its name.
    pub name: String,
    /// Its identity, in hexadecimal.
    pub chain_id: String,
    /// Short name of its coin.
    pub ticker: String,
    /// Decimals of an amount.
    pub decimals: u8,
    /// Seconds of a slot.
    pub slot_seconds: u64,
    /// A node of it.
    pub node: Backend,
    /// Its wallets, if there are any.
    pub wallet: Option<Backend>,
}

/// All that the page shows.
#[derive(Clone, Default)]
pub struct Sources {
    /// The chains, the first of which is shown first.
    pub chains: Vec<ChainSource>,
    /// The farm, if there is one.
    pub farm: Option<Backend>,
}

/// Whom a call goes to, as the page writes it: `farm`, `node:<chain>` or `wallet:<chain>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Farm,
    Node,
    Wallet,
}

#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    id: u8,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
}

/// Either field is there.
#[derive(Deserialize)]
struct Response {
    result: Option<Box<RawValue>>,
    error: Option<ErrorObjectOwned>,
}

/// What a call ends with: the answer as it came, unread.
pub(crate) type Answered = Result<Box<RawValue>, ErrorObjectOwned>;

impl Sources {
    /// Who is meant by an address.
    pub(crate) fn find(&self, to: &str) -> Option<(Kind, &Backend)> {
        if to == "farm" {
            return Some((Kind::Farm, self.farm.as_ref()?));
        }
        let (kind, name) = to.split_once(':')?;
        let chain = self.chains.iter().find(|chain| chain.name == name)?;
        match kind {
            "node" => Some((Kind::Node, &chain.node)),
            "wallet" => Some((Kind::Wallet, chain.wallet.as_ref()?)),
            _ => None,
        }
    }
}

impl Backend {
    /// Calls a method. `wallet` names one of the wallets that are loaded.
    pub(crate) async fn call(
        &self,
        method: &str,
        params: Option<&RawValue>,
        wallet: Option<&str>,
    ) -> Answered {
        match self {
            Self::Here(methods) => {
                let mut methods = methods.clone();
                if let Some(name) = wallet {
                    methods.extensions_mut().insert(UriPath(format!("/wallet/{name}")));
                }
                here(&methods, method, params).await
            }
            Self::There(client) => there(client, method, params).await,
        }
    }

    /// Calls a method and reads the answer.
    pub(crate) async fn ask(&self, method: &str, params: &Value) -> Result<Value, ErrorObjectOwned> {
        let params =
            serde_json::value::to_raw_value(params).map_err(|error| errors::misc(error.to_string()))?;
        let answer = self.call(method, Some(&params), None).await?;
        serde_json::from_str(answer.get()).map_err(|error| errors::misc(error.to_string()))
    }
}

async fn here(methods: &Methods, method: &str, params: Option<&RawValue>) -> Answered {
    let request = Request { jsonrpc: "2.0", id: 0, method, params };
    let unread = |error: serde_json::Error| errors::misc(error.to_string());
    let request = serde_json::to_string(&request).map_err(unread)?;
    let (answer, _) = methods.raw_json_request(&request, 1).await.map_err(unread)?;
    if answer.get().len() > ANSWER_BYTES_MAX {
        return Err(errors::misc(format!("the answer has more than {ANSWER_BYTES_MAX} bytes")));
    }
    let Response { result, error } = serde_json::from_str(answer.get()).map_err(unread)?;
    match (result, error) {
        (_, Some(error)) => Err(error),
        // `null` is read as nothing.
        (result, None) => Ok(result.unwrap_or_else(|| RawValue::NULL.to_owned())),
    }
}

async fn there(client: &HttpClient, method: &str, params: Option<&RawValue>) -> Answered {
    let params = params.map_or(Ok(json!([])), |params| serde_json::from_str(params.get()));
    let params = match params.map_err(|error| errors::invalid_params(error.to_string()))? {
        Value::Array(params) => params,
        _ => return Err(errors::invalid_params("parameters are given in their order here")),
    };
    match mass_rpc::call(client, method, params).await {
        Ok(answer) => {
            serde_json::value::to_raw_value(&answer).map_err(|error| errors::misc(error.to_string()))
        }
        Err(ClientError::Call(refusal)) => Err(refusal),
        Err(error) => Err(errors::misc(format!("the node does not answer: {error}"))),
    }
}
