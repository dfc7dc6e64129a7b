//! `--set key=value` on a parsed recipe.
use crate::error::XtaskError;
use toml::{Table, Value};

/// Applies one `key=value`. The value is read as TOML, or as a plain string where it is none. In a list of tables (the
/// stages) a part of the key picks the one of that `name`.
///
/// ```
/// let mut table: toml::Table = "[[stages]]\nname = 'dpo'\nepochs = 1".parse()?;
/// tropism_xtask::overrides::apply(&mut table, "stages.dpo.epochs=3")?;
/// tropism_xtask::overrides::apply(&mut table, "data.path=a file.jsonl")?;
/// assert_eq!(table["stages"][0]["epochs"].as_integer(), Some(3));
/// assert_eq!(table["data"]["path"].as_str(), Some("a file.jsonl"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// No `=`, a part of the key that is no table, a stage that does not exist.
pub fn apply(table: &mut Table, set: &str) -> Result<(), XtaskError> {
    let refuse = |problem: String| {
        XtaskError::usage(format!("--set {set}: {problem}"), "write --set KEY=VALUE, for instance --set data.limit=100")
    };
    let (key, text) = set.split_once('=').ok_or_else(|| refuse("there is no `=`".into()))?;
    let parts: Vec<&str> = key.trim().split('.').collect();
    if parts.iter().any(|p| p.is_empty()) {
        return Err(refuse("the key has an empty part".into()));
    }
    put(table, &parts, value(text)).map_err(refuse)
}

/// Sets the value at a path of at least one part; tables on the way are made.
fn put(table: &mut Table, path: &[&str], value: Value) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    if rest.is_empty() {
        table.insert((*first).to_owned(), value);
        return Ok(());
    }
    match table.entry(*first).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => put(inner, rest, value),
        Value::Array(list) => put(named(list, first, rest)?, &rest[1..], value),
        _ => Err(format!("`{first}` is a value, not a table")),
    }
}

/// The table of a list whose `name` is the first part of `rest`; a key has to follow.
fn named<'a>(list: &'a mut [Value], key: &str, rest: &[&str]) -> Result<&'a mut Table, String> {
    if rest.len() < 2 {
        return Err(format!("`{key}` is a list; write {key}.NAME.KEY=VALUE"));
    }
    let name = |v: &Value| v.get("name").and_then(Value::as_str).map(str::to_owned);
    let names: Vec<String> = list.iter().filter_map(name).collect();
    let found = list.iter_mut().find(|v| name(v).as_deref() == Some(rest[0])).and_then(Value::as_table_mut);
    found.ok_or_else(|| format!("`{key}` holds no `{}`, it holds {}", rest[0], names.join(", ")))
}

fn value(text: &str) -> Value {
    let text = text.trim();
    let parsed = toml::from_str::<Table>(&format!("v = {text}")).ok().and_then(|mut t| t.remove("v"));
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let mut t: Table = "seed = 1\n[[stages]]\nname = 'sft'".parse().unwrap();
        let mut e = |set: &str| apply(&mut t, set).unwrap_err().to_string();
        assert!(e("seed").contains("no `=`"));
        assert!(e("a..b=1").contains("empty part"));
        assert!(e("seed.x=1").contains("`seed` is a value"));
        assert!(e("stages.dpo.epochs=1").contains("holds no `dpo`, it holds sft"));
        assert!(e("stages.sft=1").contains("stages.NAME.KEY=VALUE"));
    }

    #[test]
    fn values_keep_their_types() {
        assert_eq!(value("1e-3"), Value::Float(1e-3));
        assert_eq!(value(" true "), Value::Boolean(true));
        assert_eq!(value("[1, 2]").as_array().map(Vec::len), Some(2));
        assert_eq!(value("../a/b-1.gz"), Value::String("../a/b-1.gz".into()));
        assert_eq!(value("'quoted'"), Value::String("quoted".into()));
    }
}
