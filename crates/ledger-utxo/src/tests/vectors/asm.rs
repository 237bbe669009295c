//! Scripts as Bitcoin Core's vectors write them: numbers, `0x` bytes, `'text'`, names of operations.

use bitcoin::{ScriptBuf, opcodes::Opcode, script::Builder};

/// The bytes of a script.
pub fn assemble(text: &str) -> ScriptBuf {
    let mut script = Vec::new();
    for word in text.split_ascii_whitespace() {
        if let Ok(number) = word.parse::<i64>() {
            script.extend(Builder::new().push_int(number).into_script().to_bytes());
        } else if let Some(hex) = word.strip_prefix("0x") {
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            script.extend((0..hex.len()).step_by(2).map(byte));
        } else if let Some(quoted) = word.strip_prefix('\'') {
            let text = quoted.strip_suffix('\'').unwrap();
            script.extend(push(text.as_bytes()));
        } else {
            script.push(operation(word));
        }
    }
    ScriptBuf::from_bytes(script)
}

fn push(bytes: &[u8]) -> Vec<u8> {
    let bytes = bitcoin::script::PushBytesBuf::try_from(bytes.to_vec()).unwrap();
    Builder::new().push_slice(bytes).into_script().to_bytes()
}

fn operation(word: &str) -> u8 {
    let name = word.strip_prefix("OP_").unwrap_or(word);
    let name = match name {
        "CHECKLOCKTIMEVERIFY" | "NOP2" => "CLTV",
        "CHECKSEQUENCEVERIFY" | "NOP3" => "CSV",
        "1NEGATE" => "PUSHNUM_NEG1",
        name => name,
    };
    let named = |code: &u8| Opcode::from(*code).to_string().strip_prefix("OP_") == Some(name);
    (0..=u8::MAX).find(named).unwrap_or_else(|| panic!("no operation {word}"))
}
