//! Diffusion-DPO moves the samples, and the build is small.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::Instant;

use tropism_denoise::{Setting, align, look, pretrain};

#[test]
fn samples_move_where_they_are_preferred() {
    let clock = Instant::now();
    let setting = Setting::new(0).unwrap();
    let base = pretrain(&setting, 2500).unwrap();
    let (before, there) = look(&setting, &base).unwrap();
    let aligned = align(&setting, &base, 1000.0, 800).unwrap();
    let (after, here) = look(&setting, &aligned).unwrap();
    println!("{before:?} {there:?}\n{after:?} {here:?}\n{:.1} s", clock.elapsed().as_secs_f64());
    assert!(before.value.abs() < 0.15 && there.mode_distance < 0.3 && there.entropy > 1.9, "{before:?} {there:?}");
    assert!(after.low > 0.5, "{after:?}");
    assert!(here.mode_distance < there.mode_distance + 0.1, "{here:?} after {there:?}");
    // the base was not touched
    assert_eq!(look(&setting, &base).unwrap().0, before);
}

/// The packages that a build of this one takes, one per line.
fn tree(more: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--prefix", "none", "--package", "tropism-denoise"]).args(more);
    let out = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn it_depends_on_the_diffusion_crate_alone() {
    let names = |text: &str| {
        let mut names: Vec<String> = text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let direct = names(&tree(&["--edges", "normal", "--depth", "1"]));
    assert_eq!(direct, ["tropism-denoise", "tropism-diffusion"]);
    let all = names(&tree(&["--edges", "normal,build"]));
    let own: Vec<&String> = all.iter().filter(|n| n.starts_with("tropism")).collect();
    assert_eq!(own, ["tropism-core", "tropism-denoise", "tropism-diffusion", "tropism-ops"]);
    assert!(all.iter().any(|n| n == "dfdx"));
    assert!(!all.iter().any(|n| n.contains("polars") || n.contains("tokenizers")), "{all:?}");
}
