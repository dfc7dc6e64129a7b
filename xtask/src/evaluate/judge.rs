//! A judge from a TOML file.
use crate::config::nearest;
use crate::error::XtaskError;
use serde::Deserialize;
use std::path::Path;
use toml::{Table, Value};
use tropism_evaluation::SwapRule;
use tropism_evaluation::judge::http::{HttpConfig, HttpJudge};
use tropism_evaluation::judge::template::Template;
use tropism_evaluation::judge::{Orders, RunOptions};

/// Reads the judge and how it is run.
pub(super) fn read(path: &Path) -> Result<(HttpJudge, RunOptions), XtaskError> {
    let origin = path.display().to_string();
    let refuse = |problem: String, help: &str| XtaskError::config(&*origin, problem, help);
    let text = std::fs::read_to_string(path).map_err(XtaskError::io(path))?;
    let help = "`cargo xtask evaluate compare --help` shows a working one";
    let mut table: Table = text.parse().map_err(|e: toml::de::Error| refuse(e.message().trim().to_owned(), help))?;
    let options = options(&mut table).map_err(|problem| refuse(problem, help))?;
    if let Some(Value::String(name)) = table.get("template") {
        let template = named(name).map_err(|problem| refuse(problem, help))?;
        let template = Value::try_from(template).map_err(|e| refuse(e.to_string(), "this is a defect, please report it"))?;
        table.insert("template".into(), template);
    }
    let config = HttpConfig::deserialize(table).map_err(|e| refuse(e.message().trim().to_owned(), help))?;
    let judge = HttpJudge::new(config).map_err(|e| refuse(e.to_string(), help))?;
    Ok((judge, options))
}

fn named(name: &str) -> Result<Template, String> {
    let near = nearest(name, Template::NAMES).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    Template::named(name).ok_or_else(|| format!("there is no template `{name}`{near}"))
}

/// The keys that say how the judge is run, taken out of the table.
fn options(table: &mut Table) -> Result<RunOptions, String> {
    let mut options = RunOptions::default();
    match table.remove("orders").as_ref().map(|v| v.as_str()) {
        None | Some(Some("conservative")) => {}
        Some(Some("average")) => options.orders = Orders::Both(SwapRule::Average),
        Some(Some("one")) => options.orders = Orders::One,
        Some(_) => return Err("`orders` has to be \"conservative\", \"average\" or \"one\"".into()),
    }
    for (key, place) in [("workers", &mut options.workers), ("stop_after", &mut options.stop_after)] {
        if let Some(value) = table.remove(key) {
            let count = value.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
            *place = count.ok_or_else(|| format!("`{key}` has to be a number above 0"))?;
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> String {
        let dir = std::env::temp_dir().join(format!("tropism-judge-{}-{}", std::process::id(), text.len()));
        let done = std::fs::write(&dir, text);
        let said = read(&dir).map(|(j, o)| format!("{j:?} {o:?}")).unwrap_or_else(|e| e.to_string());
        let _ = std::fs::remove_file(&dir);
        format!("{said} {done:?}")
    }

    #[test]
    fn settings_by_name() {
        let said = judge("model = \"m\"\ntemplate = \"letter\"\norders = \"one\"\nworkers = 2\n");
        assert!(said.contains("reply: Letter") && said.contains("orders: One") && said.contains("workers: 2"), "{said}");
        let own = "model = \"m\"\n[template]\nuser = \"{prompt} {answer}\"\nreply = { rating = { low = 1, high = 5 } }\n";
        assert!(judge(own).contains("high: 5.0"), "{}", judge(own));
    }

    #[test]
    fn settings_that_are_wrong() {
        assert!(judge("model = \"m\"\ntemplate = \"pairwize\"\n").contains("did you mean `pairwise`"));
        assert!(judge("model = \"m\"\norders = \"both\"\n").contains("`orders` has to be"));
        assert!(judge("model = \"m\"\nworkers = 0\n").contains("`workers`"));
        let key = judge("model = \"m\"\nkey = \"sesame\"\n");
        assert!(key.contains("unknown field `key`") && !key.contains("sesame"), "{key}");
        assert!(judge("endpoint = \"localhost\"\nmodel = \"m\"\n").contains("endpoint"));
        assert!(judge("model = \n").contains("tropism-judge"));
    }
}
