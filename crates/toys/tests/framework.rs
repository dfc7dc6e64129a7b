//! Running over seeds, intervals, verdicts and what is refused.
#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;
use tropism_toys::{Chance, Figures, Relation, TOYS, Toy, ToyError, Verdict, find};

/// Figures that wander: `up` is above `down` by 1 ± 0.5, `wide` is anywhere around both.
fn wander(seed: u64) -> Result<Figures, ToyError> {
    let swing = [-0.5, 0.5, 0.0][seed as usize % 3];
    let mut figures = Figures::default();
    figures.push("up", "nats", 2.0 + swing + seed as f64);
    figures.push("down", "nats", 1.0 + seed as f64);
    figures.push("wide", "", 1.5 + 100.0 * swing + seed as f64);
    figures.push("tiny", "", 1e-9);
    Ok(figures)
}

const TOY: Toy = Toy {
    row: "wander",
    title: "none",
    arxiv: "0000.00000",
    claim: "up is above down",
    chance: Chance::Seeds(6),
    relations: &[
        Relation::above("up", "down"),
        Relation::above("down", "up"),
        Relation::above("up", "wide"),
        Relation::above_by("up", "down", 0.2),
        Relation::above_by("up", "down", 2.0),
        Relation::above_by("down", "up", -2.0),
        Relation::near("up", "down", 1.6),
        Relation::near("up", "down", 0.1),
        Relation::near("up", "down", 1.0),
        Relation::below_value("tiny", 1e-8),
        Relation::below_value("tiny", 1e-10),
        Relation::above_value("tiny", 0.0),
        Relation::near_value("tiny", 0.0, 1e-6),
    ],
    run: wander,
};

#[test]
fn relations_are_decided_by_paired_intervals() {
    use Verdict::{CameOut, DidNot, Undecided};
    let outcome = TOY.check(0, 6).unwrap();
    // the seeds themselves differ by far more than up and down do
    let up = outcome.figure("up").unwrap().estimate;
    assert!(up.low < 2.6 && up.high > 6.4, "{up:?}");
    let verdicts: Vec<(&str, Verdict)> = outcome.relations.iter().map(|r| (r.statement.as_str(), r.verdict)).collect();
    let expected = [
        ("up > down", CameOut),
        ("down > up", DidNot),
        ("up > wide", Undecided),
        ("up > down + 0.2", CameOut),
        ("up > down + 2", DidNot),
        ("down > up - 2", CameOut),
        ("|up - down| < 1.6", CameOut),
        ("|up - down| < 0.1", DidNot),
        ("|up - down| < 1", Undecided),
        ("tiny < 1e-8", CameOut),
        ("tiny < 1e-10", DidNot),
        ("tiny > 0", CameOut),
        ("|tiny - 0| < 1e-6", CameOut),
    ];
    assert_eq!(verdicts, expected);
    let difference = outcome.relations[0].difference;
    // three values twice: variance 0.2, t of 5 degrees of freedom 2.5706
    let half = 2.570_581_8 * (0.2f64 / 6.0).sqrt();
    assert!((difference.value - 1.0).abs() < 1e-12 && (difference.high - 1.0 - half).abs() < 1e-6, "{difference:?}");
    assert_eq!((outcome.count(CameOut), outcome.count(DidNot), outcome.count(Undecided)), (7, 4, 2));
}

#[test]
fn one_seed_decides_nothing_unless_nothing_is_drawn() {
    let outcome = TOY.check(4, 1).unwrap();
    assert_eq!(outcome.count(Verdict::Undecided), TOY.relations.len());
    let exact = Toy { chance: Chance::None, ..TOY };
    assert_eq!(exact.check(4, 1).unwrap().count(Verdict::Undecided), 0);
    assert!(exact.check(4, 2).unwrap_err().to_string().contains("draws nothing at random"));
}

#[test]
fn seeds_follow_each_other_and_stand_alone() {
    let outcome = TOY.check(10, 5).unwrap();
    assert_eq!(outcome.runs.iter().map(|r| r.seed).collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
    assert!(outcome.runs.iter().all(|r| r.figures == wander(r.seed).unwrap()));
    assert_eq!(outcome.runs[2..], TOY.check(12, 3).unwrap().runs);
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let says = |toy: &Toy, first, seeds, part: &str| {
        let error = toy.check(first, seeds).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    says(&TOY, 0, 0, "give at least 1");
    says(&TOY, u64::MAX, 2, "beyond 64 bits");
    const MISSPELT: &[Relation] = &[Relation::above("up", "dwon")];
    says(&Toy { relations: MISSPELT, ..TOY }, 0, 2, "`dwon`");
    fn other(seed: u64) -> Result<Figures, ToyError> {
        let mut figures = Figures::default();
        figures.push(format!("figure {seed}"), "", 1.0);
        Ok(figures)
    }
    says(&Toy { relations: &[], run: other, ..TOY }, 3, 2, "seed 4");
    fn infinite(_: u64) -> Result<Figures, ToyError> {
        let mut figures = Figures::default();
        figures.push("endless", "", f64::INFINITY);
        Ok(figures)
    }
    says(&Toy { relations: &[], run: infinite, ..TOY }, 0, 2, "`endless`");
    fn fails(seed: u64) -> Result<Figures, ToyError> {
        Err(ToyError::NotReached { what: "rest", steps: seed as usize })
    }
    says(&Toy { run: fails, ..TOY }, 7, 3, "rest was not reached within 7 steps");
}

#[test]
fn the_table_is_in_order() {
    let rows: Vec<&str> = TOYS.iter().map(|t| t.row).collect();
    assert_eq!(rows.len(), rows.iter().collect::<BTreeSet<_>>().len());
    for toy in TOYS {
        let word = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        assert!(word(toy.row), "{}", toy.row);
        assert!(find(&toy.name()).is_some_and(|t| t.row == toy.row));
        assert!(!toy.title.is_empty() && toy.claim.ends_with('.') && !toy.relations.is_empty(), "{}", toy.row);
        let (month, number) = toy.arxiv.split_once('.').unwrap();
        assert!(month.len() == 4 && number.len() == 5, "{}", toy.arxiv);
        // a few seeds decide nothing
        assert!(matches!(toy.chance, Chance::None | Chance::Seeds(5..)), "{}", toy.row);
    }
    assert!(find("simpo").is_none() && find("toy").is_none() && find("-toy").is_none());
}

#[test]
fn the_printed_table_holds_figures_and_verdicts() {
    let text = TOY.check(0, 6).unwrap().to_string();
    assert!(text.contains("up    4.5000 [") && text.contains("nats"), "{text}");
    assert!(text.contains("mean over 6 seeds"), "{text}");
    assert!(text.contains("down > up          did not come out"), "{text}");
    assert!(text.contains("1.00e-9"), "{text}");
}

#[test]
fn toys_of_denoisers_go_by_both_names() {
    for row in ["awm", "d3po", "diffusion-dpo", "diffusion-dro", "dso", "inversion-dpo", "rankdpo", "smpo"] {
        let (bare, whole) = (find(row).unwrap(), find(&format!("{row}-toy")).unwrap());
        assert_eq!((bare.row, whole.row), (row, row));
        assert!(bare.default_seeds() >= 3 && !bare.relations.is_empty());
    }
    assert!(find("simpo").is_none() && find("dpo").is_none());
}
