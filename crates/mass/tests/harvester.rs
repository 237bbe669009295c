//! A farm whose plots are all on another machine: paired by a code, farmed without the farmer key there, missed when
//! it dies and taken back when it returns.

mod processes;

use processes::{Home, Process, output, payout};

#[test]
fn a_harvester_wins_blocks_without_the_farmer_key() {
    let (home, there) = (Home::new(), Home::new());
    let plots = home.plots("plots", 16);
    let node = home.node("node", &[]);
    let mut command = home.command(&["farm", "run", "--json", "--rpc", "127.0.0.1:0", "--node", &node.url]);
    command
        .args(["--harvesters", "127.0.0.1:0", "--watch-rounds", "0", "--payout", &payout(1), "--key-file"])
        .arg(&plots.key);
    let mut farm = Process::start(command, &home.path("farm.out"));
    let opened = farm.event(|event| event["event"] == "opened");
    let text = |name: &str| opened[name].as_str().unwrap().to_owned();
    let (url, addr) = (text("rpc"), text("harvesters"));

    let dir = plots.dir.to_str().unwrap();
    let refused = output(&mut there.command(&["harvester", "run", "--dir", dir]));
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("mass harvester pair")
    );
    let code = home.json(&["farm", "pair", "--farm", &url])["code"].as_str().unwrap().to_owned();
    let pair = |name: &str| {
        output(&mut there.command(&["harvester", "pair", "--farmer", &addr, "--code", &code, "--name", name]))
    };
    assert!(pair("rig1").status.success());
    let again = pair("rig2");
    assert!(!again.status.success(), "a code is good once: {again:?}");

    let start = || {
        let command = there.command(&["harvester", "run", "--json", "--dir", dir]);
        Process::start(command, &there.path("harvester.out"))
    };
    let mut harvester = start();
    harvester.event(|event| event["event"] == "joined");
    farm.event(|event| event["event"] == "sealed");
    assert!(!there.path("data").join("mass/farmer.key").exists());

    harvester.kill();
    farm.event(|event| event["event"] == "harvester_lost");
    let diagnosis = output(&mut home.command(&["farm", "doctor", "--farm", &url]));
    assert!(!diagnosis.status.success() && String::from_utf8_lossy(&diagnosis.stdout).contains("rig1"));
    let mut harvester = start();
    harvester.event(|event| event["event"] == "joined");
    let status = home.json(&["farm", "status", "--farm", &url]);
    assert_eq!(status["harvesters"][0]["connected"], true, "{status}");

    home.json(&["farm", "unpair", "rig1", "--farm", &url]);
    harvester.event(|event| event["event"] == "lost");
    assert_eq!(harvester.interrupt(), Some(0));
    assert_eq!(farm.interrupt(), Some(0));
}
