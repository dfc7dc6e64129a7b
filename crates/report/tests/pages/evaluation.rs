//! The page of an evaluation.
use tropism_report::{
    Bar, Better, Bin, Cell, Dot, Evaluation, MetricRow, Plot, PlotKind, Sample, Table, render_evaluation, write_evaluation,
};

fn plot(title: &str, kind: PlotKind) -> Plot {
    Plot { title: title.into(), note: "What it shows.".into(), x: "across".into(), y: "up".into(), kind }
}

fn dot(label: &str, x: f64, y: f64) -> Dot {
    Dot { label: label.into(), x, y, interval: Some((y - 0.1, y + 0.1)), strong: x > 2.0 }
}

fn page() -> Evaluation {
    let bar = |label: &str, value: f64| Bar { label: label.into(), value, interval: Some((value - 5.0, value + 5.0)) };
    let values = |shift: f64| (0..200).map(|i| (f64::from(i) * 0.37).sin() * 3.0 + shift).collect();
    let bins = (5..10).map(|i| {
        let c = f64::from(i) / 10.0 + 0.05;
        Bin { confidence: c, accuracy: c - 0.08, interval: Some((c - 0.15, c)), count: 10 * i as usize }
    });
    Evaluation {
        kind: "Comparison".into(),
        title: "a <against> b".into(),
        summary: vec![("judge".into(), "exact".into())],
        notes: vec!["a note & more".into()],
        figures: vec![
            MetricRow::new("win rate", 0.6)
                .with_interval(0.5, 0.7)
                .with_n(10)
                .with_method("Wilson 95 %")
                .with_better(Better::Higher),
        ],
        tables: vec![Table {
            title: "Side by side".into(),
            columns: vec!["figure".into(), "A".into(), "p".into()],
            rows: vec![vec![Cell::Text("<i>x</i>".into()), Cell::Interval(1.0, 0.5, 1.5), Cell::Fixed(0.12345, 3)]],
            note: "A note.".into(),
        }],
        plots: vec![
            plot("Bars", PlotKind::Bars(vec![bar("model <one>", 61.0), bar("two", 20.0)], Some(50.0))),
            plot(
                "Histogram",
                PlotKind::Histogram(vec![
                    Sample { name: "policy".into(), values: values(1.0) },
                    Sample { name: "reference".into(), values: values(-1.0) },
                ]),
            ),
            plot("Reliability", PlotKind::Reliability(bins.collect())),
            plot("Front", PlotKind::Points(vec![dot("a", 1.0, 2.0), dot("b", 3.0, 1.0)], vec![(1.0, 2.0), (3.0, 1.0)])),
        ],
    }
}

#[test]
fn everything_is_on_the_page_and_escaped() {
    let html = render_evaluation(&page()).unwrap();
    for text in
        ["a &lt;against&gt; b", "a note &amp; more", "&lt;i&gt;x&lt;/i&gt;", "0.123", "Wilson 95 %", "model &lt;one&gt;"]
    {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(html.matches("<svg viewBox").count() - html.matches("viewBox=\"0 0 140 14\"").count(), 4);
    assert!(!html.contains("<i>x") && !html.contains("<script") && !html.contains("src=") && !html.contains("NaN"));
    assert_eq!(html, render_evaluation(&page()).unwrap(), "the same bytes every time");
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let odd = [f64::NAN, f64::INFINITY, 1e40];
    let kinds = [
        PlotKind::Bars(odd.iter().map(|v| Bar { label: "x".into(), value: *v, interval: None }).collect(), Some(f64::NAN)),
        PlotKind::Histogram(vec![Sample { name: "x".into(), values: odd.to_vec() }]),
        PlotKind::Reliability(vec![Bin { confidence: f64::NAN, accuracy: 0.5, interval: None, count: 3 }]),
        PlotKind::Points(odd.iter().map(|v| dot("x", 1.0, *v)).collect(), vec![(f64::NAN, 1.0)]),
    ];
    for kind in kinds {
        let html = render_evaluation(&Evaluation { plots: vec![plot("odd", kind)], ..Evaluation::default() }).unwrap();
        assert!(html.contains("Nothing to draw") && html.contains("left out"), "{html}");
    }
    let empty = [
        PlotKind::Bars(vec![], None),
        PlotKind::Histogram(vec![]),
        PlotKind::Reliability(vec![]),
        PlotKind::Points(vec![], vec![]),
    ];
    for kind in empty {
        let html = render_evaluation(&Evaluation { plots: vec![plot("empty", kind)], ..Evaluation::default() }).unwrap();
        assert!(html.contains("Nothing to draw") && !html.contains("left out"));
    }
    assert!(render_evaluation(&Evaluation::default()).unwrap().ends_with("</html>\n"));
}

#[test]
fn odd_values_are_drawn() {
    let one = |v: f64| PlotKind::Bars(vec![Bar { label: "x\ny".into(), value: v, interval: Some((f64::NAN, v)) }], None);
    for kind in
        [one(0.0), one(-3.0), one(1e-12), PlotKind::Histogram(vec![Sample { name: "x".into(), values: vec![2.0; 5] }])]
    {
        let html = render_evaluation(&Evaluation { plots: vec![plot("odd", kind)], ..Evaluation::default() }).unwrap();
        assert!(html.contains("<svg") && !html.contains("NaN") && !html.contains("inf"), "{html}");
    }
}

#[test]
fn a_file_is_replaced_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("page.html");
    std::fs::write(&path, "old").unwrap();
    write_evaluation(&page(), &path).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("</html>"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    if let Some(kept) = std::env::var_os("TROPISM_KEEP_PAGE") {
        std::fs::copy(&path, kept).unwrap();
    }
}
