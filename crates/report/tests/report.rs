//! The page: complete, closed in itself, safe with any text, and the same every time.
#![allow(clippy::unwrap_used)]
#[path = "pages/evaluation.rs"]
mod evaluation;

use tropism_report::{
    Better, ComparisonReport, Curve, MetricRow, PictureForm, PictureSet, Pictures, Report, ReportError, SampleAnswer,
    SampleRow, StageReport, render, write,
};

fn curve(name: &str, n: usize, f: impl Fn(f64) -> f64) -> Curve {
    let points = (0..n).map(|i| (i as f64, f(i as f64))).collect();
    Curve { name: name.into(), points }
}

fn stage(name: &str, method: &str, value: f64) -> StageReport {
    let wave = |at: f64| 0.1 * (at * 1.7).sin() + 0.05 * (at * 0.37).cos();
    StageReport {
        name: name.into(),
        method: method.into(),
        metrics: vec![
            MetricRow::new("win rate", value)
                .with_interval(value - 0.05, value + 0.05)
                .with_n(400)
                .with_better(Better::Higher),
            MetricRow::new("KL to reference", 3.2 * value)
                .with_interval(2.9 * value, 3.4 * value)
                .with_better(Better::Lower),
        ],
        curves: vec![
            curve("loss", 200, |s| 0.69 * (-s / 80.0).exp() + wave(s)),
            curve("rewards/chosen", 200, |s| s / 200.0 + wave(s)),
            curve("rewards/rejected", 200, |s| -s / 150.0 + wave(s)),
            curve("rewards/margins", 200, |s| s / 90.0 + wave(s)),
            curve("rewards/accuracies", 200, |s| (0.5 + s / 500.0 + wave(s)).min(1.0)),
            curve("logps/chosen", 200, |s| -80.0 - s / 10.0 + 20.0 * wave(s)),
            curve("logps/rejected", 200, |s| -90.0 - s / 5.0 + 20.0 * wave(s)),
            curve("lr", 200, |s| 1e-6 * (1.0 - s / 200.0)),
            curve("grad_norm", 200, |s| 2.0 + wave(s)),
        ],
    }
}

fn sample_report() -> Report {
    let fact = |a: &str, b: &str| (a.to_string(), b.to_string());
    let answer = |stage: &str, text: &str, reward| SampleAnswer { stage: stage.into(), text: text.into(), reward };
    Report {
        experiment: "small-simpo".into(),
        seed: 7,
        pictures: vec![],
        summary: vec![
            fact("Model", "llama, 134.5 M parameters"),
            fact("Training rows", "1 204"),
            fact("Time", "3 min 12 s"),
        ],
        config_toml: "experiment = \"small-simpo\"\n\n[[stages]]\nname = \"align\"\nmethod = \"simpo\"\n".into(),
        stages: vec![stage("warm-up", "sft", 0.41), stage("align", "dpo", 0.55), stage("polish", "simpo", 0.62)],
        final_metrics: vec![
            MetricRow::new("win rate", 0.62).with_interval(0.57, 0.67).with_n(400).with_better(Better::Higher),
            MetricRow::new("mean length", 118.0).with_interval(109.0, 127.5).with_n(400),
            MetricRow::new("margin", -0.4).with_interval(-0.9, 0.1),
        ],
        comparisons: vec![ComparisonReport {
            stage: "polish".into(),
            baseline: "align".into(),
            metrics: vec![MetricRow::new("win rate of both", 0.56).with_interval(0.5, 0.61)],
        }],
        samples: vec![SampleRow {
            prompt: "Name three trees.".into(),
            answers: vec![
                answer("warm-up", "Oak oak oak oak", Some(-1.2)),
                answer("align", "Oak, birch and maple.", Some(0.8)),
                answer("polish", "Oak, birch, maple.", None),
            ],
        }],
        audit: vec![fact("Rows read", "1 300"), fact("Dropped: identical answers", "96")],
    }
}

/// Element names in order of opening, to see that the page nests.
fn check_nesting(html: &str) {
    const VOID: [&str; 3] = ["meta", "!DOCTYPE", "br"];
    let mut open: Vec<&str> = Vec::new();
    for tag in html.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap();
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap().trim_end_matches('/');
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_full_report_shows_everything() {
    let report = sample_report();
    let html = render(&report).unwrap();
    check_nesting(&html);
    // Six charts a stage, and a bar per metric row.
    assert_eq!(html.matches("role=\"img\"").count(), 3 * 6);
    assert_eq!(html.matches("class=\"dot\"").count(), 3 * 2 + 3 + 1);
    for text in [
        "small-simpo",
        "seed 7",
        "sft → dpo → simpo",
        "0.57 to 0.67",
        "polish against align",
        "win rate of both",
        "0.41 after warm-up",
        "n = 400",
        "134.5 M",
        "Oak, birch and maple.",
        "reward −1.2",
        "Dropped: identical answers",
        "[[stages]]",
        "moving mean",
    ] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn the_page_loads_nothing() {
    let html = render(&sample_report()).unwrap();
    for part in ["http:", "https:", "//", "<script", "<link", "<img", "<image", "@import", "url(", "src=", "href="] {
        assert!(!html.contains(part), "{part}");
    }
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn text_from_anywhere_is_escaped() {
    let evil = "\"'><script>alert(1)</script>&amp;<b a='";
    let fact = || vec![(evil.to_string(), evil.to_string())];
    let row = || MetricRow::new(evil, 0.5);
    let report = Report {
        experiment: evil.into(),
        summary: fact(),
        config_toml: evil.into(),
        stages: vec![StageReport {
            name: evil.into(),
            method: evil.into(),
            metrics: vec![row()],
            curves: vec![curve(evil, 3, |s| s), curve(evil, 3, |s| s + 1.0), curve("x", 2, |_| f64::NAN)],
        }],
        final_metrics: vec![row()],
        samples: vec![SampleRow {
            prompt: evil.into(),
            answers: vec![SampleAnswer { stage: evil.into(), text: evil.into(), reward: Some(1.0) }],
        }],
        audit: fact(),
        ..Report::default()
    };
    let html = render(&report).unwrap();
    check_nesting(&html);
    assert!(!html.contains("<script") && !html.contains("<b a") && !html.contains("&amp;amp;amp;"));
    assert!(html.matches("&lt;script&gt;").count() >= 15);
}

#[test]
fn an_empty_report_is_still_a_page() {
    let html = render(&Report::default()).unwrap();
    check_nesting(&html);
    assert!(html.contains("Untitled run") && html.contains("seed 0"));
    for part in ["<svg", "Stages", "Sample answers", "Data audit", "Resolved configuration", "headline\""] {
        assert!(!html.contains(part), "{part}");
    }
}

fn with_curves(curves: Vec<Curve>) -> String {
    let stage = StageReport { name: "s".into(), method: "m".into(), curves, ..StageReport::default() };
    let html = render(&Report { stages: vec![stage], ..Report::default() }).unwrap();
    check_nesting(&html);
    assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    html
}

/// What the first curve of a chart has and the axes have not.
const LINE: &str = "stroke=\"#2F81F7\"";

#[test]
fn curves_without_points_are_named_and_not_drawn() {
    assert!(with_curves(vec![]).contains("No curves were recorded"));
    let html = with_curves(vec![curve("loss", 0, |s| s)]);
    assert!(html.contains("No finite points") && !html.contains("<svg") && !html.contains("skipped"));
}

#[test]
fn points_that_are_not_finite_are_skipped_with_a_note() {
    let holed = curve("loss", 50, |s| if s < 3.0 { f64::NAN } else { s });
    let html = with_curves(vec![holed]);
    assert!(html.contains("loss: 3 points skipped"));
    assert_eq!(html.matches(LINE).count(), 1);
    let html = with_curves(vec![curve("loss", 4, |_| f64::INFINITY)]);
    assert!(html.contains("No finite points") && html.contains("4 points skipped"));
}

#[test]
fn one_point_is_a_dot_and_odd_ranges_are_drawn() {
    let html = with_curves(vec![curve("loss", 1, |_| 0.5)]);
    assert!(html.contains("<circle") && !html.contains("stroke=\"#2F81F7\" stroke-width=\"4\""));
    for f in [|_| 0.0, |_| 1e-320, |s: f64| 1e29 * s, |s: f64| 1.0 + s * 1e-16, |s: f64| -1e-12 * s] {
        assert!(with_curves(vec![curve("loss", 20, f)]).contains(LINE));
    }
    let same_step = Curve { name: "loss".into(), points: vec![(5.0, 1.0), (5.0, 2.0)] };
    assert!(with_curves(vec![same_step]).contains(LINE));
}

#[test]
fn many_points_get_a_smoothed_line() {
    let html = with_curves(vec![curve("loss", 61, |s| s.sin())]);
    assert_eq!(html.matches(LINE).count(), 2);
    assert!(html.contains("moving mean"));
    let html = with_curves(vec![curve("loss", 60, |s| s.sin())]);
    assert_eq!(html.matches(LINE).count(), 1);
    assert!(!html.contains("moving mean"));
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    assert_eq!(render(&sample_report()).unwrap(), render(&sample_report()).unwrap());
}

#[test]
fn reports_survive_json_with_missing_numbers() {
    let mut report = sample_report();
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    report.stages[0].curves[0].points[3].1 = f64::NAN;
    report.final_metrics[0].value = f64::NAN;
    let json = serde_json::to_string(&report).unwrap();
    let back: Report = serde_json::from_str(&json).unwrap();
    assert!(back.stages[0].curves[0].points[3].1.is_nan() && back.final_metrics[0].value.is_nan());
    assert_eq!(render(&back).unwrap(), render(&report).unwrap());
    assert!(serde_json::from_str::<Report>("{\"sede\": 1}").is_err());
}

#[test]
fn writing_replaces_whole_files_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, "old").unwrap();
    write(&sample_report(), &path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), render(&sample_report()).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let lost = folder.path().join("no/such/folder/report.html");
    let error = write(&Report::default(), &lost).unwrap_err();
    assert!(matches!(&error, ReportError::Io { path, .. } if *path == lost));
    assert!(error.to_string().contains("no/such/folder"));
    // A folder in the way: the rename fails and the temporary file goes.
    let taken = folder.path().join("taken");
    std::fs::create_dir_all(taken.join("x")).unwrap();
    assert!(write(&Report::default(), &taken).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    assert!(write(&Report::default(), "/").is_err());
}

#[test]
fn samples_are_drawn_at_one_scale_and_nothing_is_loaded() {
    let set = |stage: &str, samples: Vec<Vec<f64>>| PictureSet { stage: stage.into(), samples, note: "<note>".into() };
    let page = |form, sets| {
        let pictures = vec![Pictures { title: "Samples".into(), note: String::new(), form, sets }];
        render(&Report { pictures, ..Report::default() }).unwrap()
    };
    let points = page(
        PictureForm::Points,
        vec![set("a<b", vec![vec![0.5, -0.5], vec![f64::NAN, 0.0]]), set("far", vec![vec![2.0, 0.0]])],
    );
    // the second set's point sets the scale of the first; the NaN is left out
    assert!(points.contains("M23.8 23.8h0") && !points.contains("NaN") && points.contains("samples of a&lt;b"), "{points}");
    assert!(points.contains("&lt;note&gt;"));
    let mut image = vec![-1.0; 6];
    image[1] = 1.0;
    let form = PictureForm::Images { frames: 1, height: 2, width: 3 };
    let images = page(form, vec![set("image", vec![image.clone(), image])]);
    assert!(images.contains("M1 0h1v1h-1zM6 0h1v1h-1z"), "{images}");
    let boxes = page(PictureForm::Boxes, vec![set("stack", vec![vec![0.0, 1.0, 0.2, 0.8]]), set("none", vec![])]);
    assert_eq!(boxes.matches("<rect").count(), 2);
    assert!([points, images, boxes].iter().all(|p| !p.contains("<img") && !p.contains("url(")));
}
