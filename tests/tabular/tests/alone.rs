//! Five losses raise the reward, and the build is small.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::Instant;

use tropism_objectives::{Dpo, Ipo, Kto, Nca, Objective, PlackettLuce, Sft};
use tropism_tabular::{World, train};

#[test]
fn five_losses_raise_the_reward_within_a_minute() {
    let start = Instant::now();
    let losses: [(Objective, f64); 5] = [
        (Dpo::default().with_beta(0.5).into(), 4.0),
        (Ipo::default().with_beta(0.5).into(), 0.5),
        (Nca::default().with_beta(0.5).into(), 4.0),
        (Kto::default().with_beta(0.5).into(), 8.0),
        (PlackettLuce::default().with_beta(0.5).into(), 1.0),
    ];
    for seed in 0..3 {
        let world = World::new(seed, 400);
        let before = world.reward(&world.start());
        for (objective, rate) in &losses {
            let first = world.loss(objective, &world.start()).unwrap();
            let trained = train(&world, objective, 200, *rate).unwrap();
            let last = world.loss(objective, &trained).unwrap();
            let (first, last) = (dfdx::prelude::AsArray::array(&first), dfdx::prelude::AsArray::array(&last));
            let gain = world.reward(&trained) - before;
            assert!(
                last < first && gain > 0.1,
                "{} at seed {seed}: loss {first} to {last}, reward {gain:+}",
                objective.name()
            );
        }
    }
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn a_method_that_reads_something_else_says_so() {
    let world = World::new(0, 4);
    let error = world.loss(&Sft::default().into(), &world.start()).unwrap_err().to_string();
    assert!(error.contains("sft"), "{error}");
}

/// The packages that a build of this one takes, one per line.
fn tree(more: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--prefix", "none", "--package", "tropism-tabular"]).args(more);
    let out = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn the_build_has_neither_polars_nor_tokenizers() {
    let all = tree(&["--edges", "normal,build"]);
    let names: Vec<&str> = all.lines().filter_map(|line| line.split(' ').next()).collect();
    for wanted in ["tropism-objectives", "tropism-core", "dfdx"] {
        assert!(names.contains(&wanted), "{wanted} is not in\n{all}");
    }
    assert!(!names.iter().any(|n| n.contains("polars") || n.contains("tokenizers")), "{all}");
    let own: Vec<&str> = names.iter().copied().filter(|n| n.starts_with("tropism")).collect();
    assert!(own.iter().all(|n| ["tropism-tabular", "tropism-objectives", "tropism-core"].contains(n)), "{own:?}");
    // The search would find them where they are.
    let lm = tree(&["--package", "tropism-data", "--edges", "normal"]);
    assert!(lm.contains("polars") || lm.contains("tokenizers"));
}

#[test]
fn it_depends_on_the_objectives_and_dfdx_alone() {
    let direct = tree(&["--edges", "normal", "--depth", "1"]);
    let mut names: Vec<&str> = direct.lines().filter_map(|line| line.split(' ').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["dfdx", "tropism-objectives", "tropism-tabular"]);
}
