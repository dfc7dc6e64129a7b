//! The page of methods: up to date, and following figures and tests.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use tropism_xtask::docs::{methods_page, objectives_section};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn the_page_of_methods_is_up_to_date() {
    let stands = std::fs::read_to_string(root().join("docs/methods.md")).unwrap_or_default();
    let page = methods_page(&root()).unwrap();
    let off = page.lines().zip(stands.lines().chain(std::iter::repeat(""))).find(|(new, old)| new != old);
    assert!(page == stands, "docs/methods.md is out of date, run `cargo xtask docs`; first difference: {off:?}");
}

#[test]
fn every_method_has_a_file_and_a_source() {
    let tables = [
        (tropism_objectives::METHODS, tropism_objectives::ORIGINS),
        (tropism_credit::METHODS, tropism_credit::ORIGINS),
        (tropism_policy_gradient::METHODS, tropism_policy_gradient::ORIGINS),
    ];
    for (methods, origins) in tables {
        assert_eq!(origins.iter().map(|o| o.method).collect::<Vec<_>>(), methods);
        for origin in origins {
            let path = root().join(origin.file);
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(text.contains(&format!("= \"{}\", \"{}\"", origin.method, origin.source)), "{}", path.display());
            assert!(!origin.source.is_empty() && !origin.source.contains('|'));
        }
    }
}

#[test]
fn the_page_of_methods_follows_figures_and_tests() {
    let losses = std::fs::read_to_string(root().join("tests/golden/losses.json")).unwrap();
    let file = |ids: &[&str], nudge: f64| {
        let mut file: serde_json::Value = serde_json::from_str(&losses).unwrap();
        let entries = file["entries"].as_array_mut().unwrap();
        entries.retain(|e| ids.contains(&e["id"].as_str().unwrap()));
        let loss = &mut entries[0]["expected"]["loss"];
        *loss = (loss.as_f64().unwrap() + nudge).into();
        file.to_string()
    };
    let source = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let line = |page: &str, name: &str| page.lines().find(|l| l.starts_with(&format!("| {name} |"))).unwrap().to_owned();
    let tests = [
        source("few", "#[test]\nfn dpo_worked() {}\n#[test]\nfn other() { Dpo::default(); CalDpo::default(); }"),
        source("proof", "#[test]\nfn all() { Dpo::default(); }"),
        source("kto_rest", "#[test]\nfn bco_by_its_name() {}\n#[test]\nfn by_its_file() {}"),
    ];
    let full = objectives_section(&file(&["dpo/sigmoid/s0", "dpo/mpo/s1"], 0.0), &tests).unwrap();
    assert!(line(&full, "dpo").ends_with("| 2 | DOSWF | 1 | 1 |"), "{}", line(&full, "dpo"));
    assert!(line(&full, "bco_pair").ends_with("| 1 | DOSWF | 0 | 0 |"));
    assert!(line(&full, "cal_dpo").ends_with("| 0 | DOSWF | 0 | 1 |"));
    assert!(line(&full, "aot").ends_with("| 0 | DOWF | 0 | 0 |") && line(&full, "orpo").contains("| DOSJWF |"));
    assert!(full.contains("- dpo: `dpo_worked`\n") && full.contains("- bco: `bco_by_its_name`\n"));
    assert!(full.contains("- kto: `by_its_file`\n"));
    let wrong = objectives_section(&file(&["dpo/sigmoid/s0"], 1e-4), &[]).unwrap();
    assert!(line(&wrong, "dpo").ends_with("| 0 | DOSWF | 0 | 0 |"));
}
