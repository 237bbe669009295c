//! Lines of the Electrum protocol: JSON-RPC requests in, answers and notifications out.
//!
//! Parameters come by position or by name. An answer carries either a result or an error, never both, since clients
//! take the mere presence of an error for one.

use std::fmt;

use bitcoin::{Txid, consensus::encode::deserialize_hex};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::utxo::view::ScriptHash;

/// Requests in one batch at the most.
const BATCH_MAX: usize = 100;

/// Why a request is refused, as JSON-RPC and ElectrumX number it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: i32,
    message: String,
}

impl Refusal {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What was asked for does not exist, or is not in this state.
    pub(super) fn bad(message: impl fmt::Display) -> Self {
        Self::new(1, message.to_string())
    }

    /// The node refuses or fails.
    pub(super) fn node(message: impl fmt::Display) -> Self {
        Self::new(2, message.to_string())
    }

    /// The answer would take more than a client may have.
    pub(super) fn excessive(message: impl Into<String>) -> Self {
        Self::new(-101, message)
    }

    /// No such method.
    pub(super) fn method(name: &str) -> Self {
        Self::new(-32601, format!("unknown method {name:?}"))
    }

    /// A parameter is missing or wrong.
    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    fn to_json(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }
}

/// What a line asks for.
#[derive(Debug)]
pub(super) enum Line {
    /// One thing.
    One(Result<Request, (Value, Refusal)>),
    /// Several, to be answered in one line.
    Batch(Vec<Result<Request, (Value, Refusal)>>),
}

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    /// What the answer is to be marked with; `None` if none is wanted.
    pub(super) id: Option<Value>,
    /// The name of the method.
    pub(super) method: String,
    /// The parameters.
    pub(super) params: Params,
}

impl Line {
    /// Reads a line.
    pub(super) fn parse(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(Value::Array(list)) if list.is_empty() => {
                Self::One(Err(invalid(Value::Null, "an empty batch")))
            }
            Ok(Value::Array(list)) if list.len() > BATCH_MAX => {
                let refusal =
                    Refusal::excessive(format!("{} requests in a batch of {BATCH_MAX}", list.len()));
                Self::One(Err((Value::Null, refusal)))
            }
            Ok(Value::Array(list)) => Self::Batch(list.into_iter().map(Request::parse).collect()),
            Ok(value) => Self::One(Request::parse(value)),
            Err(error) => Self::One(Err((Value::Null, Refusal::new(-32700, format!("no JSON: {error}"))))),
        }
    }
}

fn invalid(id: Value, what: &str) -> (Value, Refusal) {
    (id, Refusal::new(-32600, format!("invalid request: {what}")))
}

impl Request {
    fn parse(value: Value) -> Result<Self, (Value, Refusal)> {
        let Value::Object(mut object) = value else { return Err(invalid(Value::Null, "not an object")) };
        let id = object.remove("id");
        let Some(Value::String(method)) = object.remove("method") else {
            return Err(invalid(id.unwrap_or(Value::Null), "no method"));
        };
        let params = match object.remove("params") {
            None | Some(Value::Null) => Params::List(Vec::new()),
            Some(Value::Array(list)) => Params::List(list),
            Some(Value::Object(names)) => Params::Names(names),
            Some(_) => return Err(invalid(id.unwrap_or(Value::Null), "parameters are a list or an object")),
        };
        Ok(Self { id, method, params })
    }
}

/// Parameters by position or by name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Params {
    List(Vec<Value>),
    Names(serde_json::Map<String, Value>),
}

impl Params {
    /// The parameter at a position, which has a name, too; `None` if it is left out or null.
    pub(super) fn optional<T: DeserializeOwned>(
        &self,
        position: usize,
        name: &str,
    ) -> Result<Option<T>, Refusal> {
        let value = match self {
            Self::List(list) => list.get(position),
            Self::Names(names) => names.get(name),
        };
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
        let read = T::deserialize(value).map(Some);
        read.map_err(|error| Refusal::params(format!("{name}: {error}")))
    }

    /// The parameter at a position, which has a name, too.
    pub(super) fn required<T: DeserializeOwned>(&self, position: usize, name: &str) -> Result<T, Refusal> {
        self.optional(position, name)?.ok_or_else(|| Refusal::params(format!("{name} is missing")))
    }

    /// A script hash.
    pub(super) fn script_hash(&self) -> Result<ScriptHash, Refusal> {
        let text: String = self.required(0, "scripthash")?;
        ScriptHash::from_reversed_hex(&text)
            .ok_or_else(|| Refusal::bad(format!("{text:?} is not a valid script hash")))
    }

    /// A transaction id.
    pub(super) fn txid(&self) -> Result<Txid, Refusal> {
        let text: String = self.required(0, "tx_hash")?;
        text.parse().map_err(|_| Refusal::bad(format!("{text:?} should be a transaction hash")))
    }

    /// The encoding of a transaction.
    pub(super) fn transaction(&self) -> Result<bitcoin::Transaction, Refusal> {
        let text: String = self.required(0, "raw_tx")?;
        deserialize_hex(&text)
            .map_err(|error| Refusal::bad(format!("the transaction does not decode: {error}")))
    }
}

/// The line that answers a request.
pub(super) fn answer(id: &Value, result: Result<Value, Refusal>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(refusal) => json!({ "jsonrpc": "2.0", "id": id, "error": refusal.to_json() }),
    }
}

/// The line that tells of something new.
pub(super) fn notification(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// A version of the protocol, as in `1.4.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u16; 3]);

impl Version {
    /// The oldest one that is spoken here.
    pub(super) const OLDEST: Self = Self([1, 4, 0]);
    /// The newest one that is spoken here.
    pub(super) const NEWEST: Self = Self([1, 4, 2]);

    /// Reads a version of two or three numbers.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = [0; 3];
        let mut parts = text.split('.');
        for (place, part) in numbers.iter_mut().zip(parts.by_ref()) {
            *place = part.parse().ok()?;
        }
        parts.next().is_none().then_some(Self(numbers))
    }

    /// The newest one that both sides speak. The client names one, or its oldest and its newest.
    pub(super) fn negotiate(params: &Params) -> Result<Self, Refusal> {
        let asked: Value = params.optional(1, "protocol_version")?.unwrap_or_else(|| json!("1.4"));
        let read = |value: &Value| value.as_str().and_then(Self::parse);
        let range = match &asked {
            Value::Array(pair) if pair.len() == 2 => {
                pair.first().and_then(read).zip(pair.get(1).and_then(read))
            }
            one => read(one).map(|version| (version, version)),
        };
        let (oldest, newest) = range.ok_or_else(|| Refusal::bad(format!("no protocol version: {asked}")))?;
        let common = newest.min(Self::NEWEST);
        if common < oldest.max(Self::OLDEST) {
            return Err(Refusal::bad(format!("unsupported protocol version: {asked}")));
        }
        Ok(common)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, revision] = self.0;
        write!(f, "{major}.{minor}")?;
        if revision > 0 { write!(f, ".{revision}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Request, (Value, Refusal)> {
        match Line::parse(text) {
            Line::One(request) => request,
            Line::Batch(list) => panic!("a batch: {list:?}"),
        }
    }

    #[test]
    fn requests_are_read() {
        let request = one(r#"{"id": 7, "method": "server.ping"}"#).unwrap();
        assert_eq!((request.id, request.method.as_str()), (Some(json!(7)), "server.ping"));
        let request = one(r#"{"id": "a", "method": "m", "params": {"height": 3}}"#).unwrap();
        assert_eq!(request.params.required(0, "height"), Ok(3u32));
        assert_eq!(request.params.optional::<u32>(1, "cp_height"), Ok(None));
        let request = one(r#"{"jsonrpc": "2.0", "method": "m", "params": [1, null, "x"]}"#).unwrap();
        assert_eq!((request.id, request.params.optional::<u32>(1, "n")), (None, Ok(None)));
        assert!(request.params.required::<u32>(2, "n").unwrap_err().message.starts_with("n: "));
        assert!(matches!(Line::parse(r#"[{"method": "a"}, 3]"#), Line::Batch(list) if list[1].is_err()));
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_code() {
        let code = |text: &str| one(text).unwrap_err().1.code;
        assert_eq!(code("{"), -32700);
        assert_eq!(code("[]"), -32600);
        assert_eq!(code("5"), -32600);
        assert_eq!(code(r#"{"id": 1}"#), -32600);
        assert_eq!(code(r#"{"id": 1, "method": "m", "params": 3}"#), -32600);
        assert_eq!(code(&format!("[{}0]", "0,".repeat(BATCH_MAX))), -101);
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(code(&deep), -32700, "and the stack holds");
    }

    #[test]
    fn the_newest_common_version_is_spoken() {
        let negotiate = |asked: Value| {
            Version::negotiate(&Params::List(vec![json!("client"), asked])).map(|version| version.to_string())
        };
        assert_eq!(negotiate(json!("1.4")).as_deref(), Ok("1.4"));
        assert_eq!(negotiate(json!(["1.2", "1.4.1"])).as_deref(), Ok("1.4.1"));
        assert_eq!(negotiate(json!(["1.4", "1.6"])).as_deref(), Ok("1.4.2"));
        assert_eq!(Version::negotiate(&Params::List(Vec::new())), Ok(Version::OLDEST));
        for refused in
            [json!("1.3"), json!(["1.5", "1.6"]), json!("x"), json!([]), json!("1.4.2.1"), json!(1.4)]
        {
            assert!(negotiate(refused).is_err());
        }
    }

    #[test]
    fn an_answer_has_a_result_or_an_error() {
        assert_eq!(
            answer(&json!(1), Ok(Value::Null)).to_string(),
            r#"{"id":1,"jsonrpc":"2.0","result":null}"#
        );
        let refused = answer(&json!("a"), Err(Refusal::method("x")));
        assert_eq!(refused["error"]["code"], -32601);
        assert!(refused.get("result").is_none());
    }
}
