//! The audit as a table for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::manifest::Manifest;
use crate::audit::{Audit, Rows};
use crate::build::Built;
use crate::construct::dataset::{Dataset, Kind};
use crate::construct::records::ConstructAudit;
use crate::record::Record;

/// What was read, used, left out and written, one line each.
pub fn table(manifest: &Manifest, audits: &BTreeMap<String, Audit>, built: &Built) -> String {
    let mut out = String::new();
    for (step, audit) in audits {
        line(&mut out, step, "read", audit.read);
        line(&mut out, step, "kept", audit.kept);
        reasons(&mut out, step, "left out", &audit.dropped);
        reasons(&mut out, step, "note", &audit.notes);
    }
    for (split, audit) in &built.audit {
        construction(&mut out, split, audit);
    }
    for file in &manifest.files {
        line(&mut out, &file.name, file.kind.name(), file.rows);
        line(&mut out, &file.name, "prompts", file.prompts);
        for (stage, rows) in file.stages.iter().enumerate() {
            line(&mut out, &file.name, &format!("stage {stage}"), *rows);
        }
        if let Some(rows) = built.part(&file.part) {
            statistics(&mut out, &file.name, rows, &built.records);
        }
    }
    out
}

fn construction(out: &mut String, split: &str, audit: &ConstructAudit) {
    let step = format!("{split}: {} by {}", audit.strategy, audit.score);
    line(out, &step, "prompts", audit.prompts);
    line(out, &step, "responses", audit.responses);
    line(out, &step, "prompts used", audit.used);
    line(out, &step, "rows", audit.rows);
    reasons(out, &step, "prompt skipped", &audit.skipped);
    reasons(out, &step, "left out", &audit.left_out);
    reasons(out, &step, "response ignored", &audit.ignored);
    reasons(out, &step, "note", &audit.notes);
    for control in &audit.controls {
        line(out, &step, &format!("after {}", control.control), control.after);
        if control.changed > 0 {
            line(out, &step, &format!("changed by {}", control.control), control.changed);
        }
    }
}

/// Lengths and gaps.
fn statistics(out: &mut String, file: &str, rows: &Dataset, records: &[Record]) {
    let lengths: Vec<Vec<usize>> = rows.rows.iter().map(|row| row.characters(records)).collect();
    let mean = |place: usize| {
        let of: Vec<usize> = lengths.iter().filter_map(|row| row.get(place).copied()).collect();
        of.iter().sum::<usize>() as f64 / of.len().max(1) as f64
    };
    if matches!(rows.kind, Kind::Pairs | Kind::Joint) && !rows.is_empty() {
        text(out, file, "characters, mean", &format!("chosen {:.1}, rejected {:.1}", mean(0), mean(1)));
        let longer = lengths.iter().filter(|row| row[0] > row[1]).count();
        text(out, file, "chosen longer", &format!("{:.1} %", 100.0 * longer as f64 / lengths.len() as f64));
    }
    if let Some(gaps) = rows.columns.get("score_gap").filter(|gaps| !gaps.is_empty()) {
        let mut sorted = gaps.clone();
        sorted.sort_by(f64::total_cmp);
        let quantile = |q: f64| sorted[((sorted.len() - 1) as f64 * q).round() as usize];
        let [low, first, middle, third, high] = [0.0, 0.25, 0.5, 0.75, 1.0].map(quantile);
        text(out, file, "score gap", &format!("{low:.4} | {first:.4} | {middle:.4} | {third:.4} | {high:.4}"));
    }
}

fn reasons(out: &mut String, step: &str, what: &str, rows: &BTreeMap<String, Rows>) {
    for (reason, rows) in rows {
        let first: Vec<String> = rows.rows.iter().take(5).map(ToString::to_string).collect();
        let more = if rows.count > first.len() { ", …" } else { "" };
        text(out, step, &format!("{what}: {reason}"), &format!("{} (rows {}{more})", rows.count, first.join(", ")));
    }
}

fn line(out: &mut String, step: &str, what: &str, count: usize) {
    text(out, step, what, &count.to_string());
}

fn text(out: &mut String, step: &str, what: &str, value: &str) {
    // writing to a String cannot fail
    let _ = writeln!(out, "{step:<32} {what:<44} {value}");
}
