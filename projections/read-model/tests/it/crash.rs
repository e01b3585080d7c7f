//! A process that is killed while it applies leaves a read model of some position, and of that position
//! exactly.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nemo_read_model::{Origin, ReadModel};

use crate::applying::{applied, digest};
use crate::history::History;
use crate::random;

const PATH: &str = "NEMO_READ_MODEL_OF_A_CHILD";

fn history() -> History {
    let steps: Vec<_> = (0..6000_u32).map(|n| ((n * 7 % 32) as u8, (n * 13) as usize % 89, n % 50)).collect();
    random::history(&steps)
}

#[test]
#[ignore = "runs only as a child that is killed"]
fn a_child_applies_until_it_is_killed() {
    let path = PathBuf::from(std::env::var_os(PATH).unwrap());
    let mut model = ReadModel::open(&path).unwrap().model;
    for batch in history().records.chunks(7) {
        model.apply(batch).unwrap();
        println!("applied");
    }
    // Killed before it gets here, or here.
    std::thread::park();
}

#[test]
fn killed_while_it_applies_it_leaves_a_consistent_position() {
    let history = history();
    for batches in [1, 40, 200, 333] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("read-model.db");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "crash::a_child_applies_until_it_is_killed"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert_eq!(lines.filter(|line| line.ends_with("applied")).take(batches).count(), batches);
        child.kill().unwrap();
        child.wait().unwrap();

        let opened = ReadModel::open(&path).unwrap();
        assert_eq!(opened.origin, Origin::Existing);
        let mut model = opened.model;
        let position = model.position().unwrap();
        let by_then = history.records.iter().take_while(|record| record.position <= position).count();
        assert!(by_then >= batches * 7);
        assert_eq!(digest(&model), digest(&applied(&history.records[..by_then]).model));
        model.apply(&history.records).unwrap();
        assert_eq!(digest(&model), digest(&applied(&history.records).model));
    }
}
