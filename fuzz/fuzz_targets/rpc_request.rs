//! What comes over RPC before a method has it: headers, requests of anybody, parameters; and users as they are written. Refused
//! or read, never a crash, and nobody is let in by chance.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use mass_rpc::{
    Access, User, modernise,
    params::{Args, Kind, Param},
};

const PARAMS: &[Param] = &[
    Param::new("hash", Kind::Hash),
    Param::new("text", Kind::Text),
    Param::optional("number", Kind::Number),
    Param::optional("verbosity", Kind::Verbosity),
    Param::optional("switch", Kind::Bool),
];

fn access() -> Access {
    let user = format!("ann:salt${}", "5".repeat(64)).parse().expect("a user");
    let public = BTreeSet::from(["getblock".to_owned()]);
    Access { users: vec![user], public, hosts: vec!["node.example".to_owned()], ..Access::default() }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    match which % 6 {
        0 => drop(Args::read("method", PARAMS, Some(&text))),
        1 => {
            if let Some(once) = access().public_request(bytes) {
                assert_eq!(access().public_request(&once).as_deref(), Some(&*once));
            }
        }
        2 => {
            if let Some(new) = modernise(bytes) {
                assert_eq!(modernise(&new), None);
            }
        }
        3 => assert!(!access().admits(bytes)),
        4 => {
            let _ = access().is_host(&text);
        }
        _ => {
            if let Ok(user) = text.parse::<User>() {
                assert_eq!(user.to_string().parse::<User>(), Ok(user));
            }
        }
    }
});
