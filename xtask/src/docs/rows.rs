//! What the crates say about their methods.
use super::page::{Row, Section};
use std::collections::BTreeMap;
use tropism_credit::{Credit, CreditKind};
use tropism_diffusion::objectives::DiffusionObjective;
use tropism_objectives::golden::GoldenError;
use tropism_objectives::{InputKind, Objective, Origin, Per};
use tropism_policy_gradient::{Coupling, Field, Method, Need, PolicyGradient};

/// All sections of the page.
pub(super) fn sections(losses: &str) -> Result<Vec<Section>, GoldenError> {
    Ok(vec![
        Section { title: "Preferences and demonstrations", krate: "objectives", rows: of_objectives(losses)? },
        Section { title: "Credit for tokens and steps", krate: "credit", rows: of_credit() },
        Section { title: "Policy gradients", krate: "policy-gradient", rows: of_policy_gradients(losses)? },
        Section { title: "Denoisers and flows", krate: "diffusion", rows: of_diffusion() },
    ])
}

/// The rows of `tropism-objectives`.
pub(super) fn of_objectives(losses: &str) -> Result<Vec<Row>, GoldenError> {
    use InputKind as Kind;
    let passed = tropism_objectives::golden::passed_by_method(losses)?;
    let row = |(objective, origin): (&Objective, &Origin)| {
        let cells = matches!(
            objective.input(),
            Kind::CompletionTokens | Kind::PairTokens | Kind::Lists | Kind::ScoreTables | Kind::ValuedTokens
        );
        let junk = cells || objective.columns().iter().any(|c| c.per != Per::Row);
        Row {
            origin: *origin,
            input: objective.input().to_string(),
            reference: yes(objective.needs_reference()),
            columns: objective.columns().iter().map(|c| c.name.to_owned()).collect(),
            golden: count(&passed, origin),
            // Its proof splits no step whose rows depend on each other.
            proof: letters(!objective.couples_rows(), junk, false),
        }
    };
    Ok(Objective::defaults().iter().zip(tropism_objectives::ORIGINS).map(row).collect())
}

/// The rows of `tropism-credit`; the reference figures are of trainers that have none of its methods.
fn of_credit() -> Vec<Row> {
    let row = |(credit, origin): (&Credit, &Origin)| Row {
        origin: *origin,
        input: credit.input().to_string(),
        reference: yes(credit.needs_reference()),
        columns: credit.columns().iter().map(|c| c.name.to_owned()).collect(),
        golden: 0,
        proof: letters(true, credit.input() == CreditKind::PairTokens, false),
    };
    Credit::defaults().iter().zip(tropism_credit::ORIGINS).map(row).collect()
}

/// The rows of `tropism-diffusion`; its reference figures are of samplers, none of losses.
fn of_diffusion() -> Vec<Row> {
    let row = |(objective, origin): (&DiffusionObjective, &Origin)| Row {
        origin: *origin,
        input: objective.input().to_string(),
        reference: yes(objective.needs_reference()),
        columns: objective.columns().iter().map(|c| c.name.to_owned()).collect(),
        golden: 0,
        proof: letters(true, false, false),
    };
    DiffusionObjective::defaults().iter().zip(tropism_diffusion::objectives::ORIGINS).map(row).collect()
}

/// The rows of `tropism-policy-gradient`.
fn of_policy_gradients(losses: &str) -> Result<Vec<Row>, GoldenError> {
    let passed = tropism_policy_gradient::golden::passed_by_method(losses)?;
    let row = |(method, origin): (&PolicyGradient, &Origin)| {
        let reads = method.reads();
        let named = |(field, need): &(Field, Need)| match need {
            Need::Required => field.to_string(),
            Need::Optional => format!("{field}?"),
        };
        let input = match method.coupling() {
            Coupling::Rows => "completions by token",
            Coupling::Groups => "groups of completions by token",
            Coupling::Step => "a step of completions by token",
        };
        Row {
            origin: *origin,
            input: input.to_owned(),
            reference: yes(reads.iter().any(|(field, _)| *field == Field::Reference)),
            columns: reads.iter().filter(|(field, _)| *field != Field::Reference).map(named).collect(),
            golden: count(&passed, origin),
            proof: letters(true, true, true),
        }
    };
    Ok(PolicyGradient::defaults().iter().zip(tropism_policy_gradient::ORIGINS).map(row).collect())
}

/// The letters of what a proof covers beside gradients, order, weights and dtypes.
fn letters(splits: bool, junk: bool, left_out: bool) -> String {
    let when = |holds: bool, letter: &'static str| if holds { letter } else { "" };
    format!("DO{}{}WF{}", when(splits, "S"), when(junk, "J"), when(left_out, "L"))
}

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

fn count(passed: &BTreeMap<String, usize>, origin: &Origin) -> usize {
    passed.get(origin.method).copied().unwrap_or(0)
}
